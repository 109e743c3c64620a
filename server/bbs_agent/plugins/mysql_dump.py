# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`mysql_dump`: MySQL and MariaDB."""

import shutil
from typing import List, Optional

from .dumps import DatabaseDump


class MysqlDump(DatabaseDump):
    """The password goes into a 0600 option file: an argument list is for everybody to read."""

    label = "MySQL Dump"
    slug = "mysql_dump"
    default_port = 3306
    default_dump_dir = "/home/bbs/mysql"
    default_excludes = ["information_schema", "performance_schema", "sys"]
    default_options = "--single-transaction --quick --routines --triggers --events"

    def existing(self) -> List[str]:
        with self.scope.private_file("my.cnf", self._option_file()) as option_file:
            argv = [_program("mysql", "mariadb"), "--defaults-extra-file=" + option_file]
            argv += ["--batch", "--skip-column-names", "--execute=SHOW DATABASES"]
            return self.query(argv, self.scope.host.environment())

    def dump(self, database: Optional[str]) -> str:
        what = ["--all-databases"] if database is None else ["--", database]
        with self.scope.private_file("my.cnf", self._option_file()) as option_file:
            argv = [_program("mysqldump", "mariadb-dump"), "--defaults-extra-file=" + option_file]
            words = argv + self.options() + what
            return self.to_file(database, words, self.scope.host.environment())

    def _option_file(self) -> str:
        lines = ["[client]", "host=" + _quoted(self.host), "port={}".format(self.port)]
        lines += ["user=" + _quoted(self.user), "password=" + _quoted(self.password)]
        return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """A value of an option file: in quotes, a hash is no comment; only backslashes are escapes."""
    return '"{}"'.format(value.replace("\\", "\\\\").replace("\n", "\\n"))


def _program(*candidates: str) -> str:
    """The first program that is installed; newer MariaDB packages drop the mysql names."""
    return next((name for name in candidates if shutil.which(name)), candidates[0])
