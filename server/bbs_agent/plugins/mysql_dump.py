# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`mysql_dump`: MySQL and MariaDB."""

import shutil
from contextlib import contextmanager
from typing import Iterable, Iterator, List, Optional

from .dump_files import DumpFiles, mysql_section
from .dumps import DatabaseDump, Wanted

CHARACTER_SET = (
    "SELECT CONCAT(' CHARACTER SET ', default_character_set_name, ' COLLATE ', default_collation_name)"
    " FROM information_schema.schemata WHERE schema_name = CONVERT(0x{} USING utf8mb4)"
)


class MysqlDump(DatabaseDump):
    """The password goes into a 0600 option file: an argument list is for everybody to read."""

    label = "MySQL Dump"
    slug = "mysql_dump"
    default_port = 3306
    default_dump_dir = "/home/bbs/mysql"
    default_excludes = ["information_schema", "performance_schema", "sys"]
    own_databases = ["information_schema", "mysql", "performance_schema", "sys"]
    default_options = "--single-transaction --quick --routines --triggers --events"

    def existing(self) -> List[str]:
        return self._sql("SHOW DATABASES")

    def dump(self, database: Optional[str]) -> str:
        what = ["--all-databases"] if database is None else ["--", database]
        with self._login() as option_file:
            argv = [_program("mysqldump", "mariadb-dump"), option_file]
            words = argv + self.options() + what
            return self.to_file(database, words, self.scope.host.environment())

    def restore(self, files: DumpFiles, wanted: Wanted) -> None:
        """Make the database anew and fill it. What the dump does not have is gone then, so look first."""
        dump = files.sql(wanted.database, mysql_section)
        self.refuse(wanted)
        dump.require()
        name = _identifier(wanted.target)
        # MySQL cannot rename a database, so there is no way to fill another one first.
        form = self._form(wanted.target) or self._form(wanted.database)
        self._sql("DROP DATABASE IF EXISTS {0}; CREATE DATABASE {0}{1}".format(name, form))
        self._load(wanted.target, dump.lines())

    def _form(self, database: str) -> str:
        """Character set and collation of a database as CREATE DATABASE takes them; "" when there is none."""
        return "".join(self._sql(CHARACTER_SET.format(database.encode("utf-8").hex())))

    def _load(self, database: str, lines: Iterable[bytes]) -> None:
        with self._login() as option_file:
            # --binary-mode: data is data, and no line of it a command of the client.
            argv = [_program("mysql", "mariadb"), option_file, "--binary-mode", "--database=" + database]
            self.load(argv, self.scope.host.environment(), lines)

    def _sql(self, statements: str) -> List[str]:
        with self._login() as option_file:
            argv = [_program("mysql", "mariadb"), option_file, "--batch", "--raw", "--skip-column-names"]
            return self.query([*argv, "--execute=" + statements], self.scope.host.environment())

    @contextmanager
    def _login(self) -> Iterator[str]:
        """The option that names a file with host, user and password; valid inside the `with` block."""
        lines = ["[client]", "host=" + _quoted(self.host), "port={}".format(self.port)]
        lines += ["user=" + _quoted(self.user), "password=" + _quoted(self.password)]
        with self.scope.private_file("my.cnf", "\n".join(lines) + "\n") as path:
            yield "--defaults-extra-file=" + path


def _identifier(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))


def _quoted(value: str) -> str:
    """A value of an option file: in quotes, a hash is no comment; only backslashes are escapes."""
    return '"{}"'.format(value.replace("\\", "\\\\").replace("\n", "\\n"))


def _program(*candidates: str) -> str:
    """The first program that is installed; newer MariaDB packages drop the mysql names."""
    return next((name for name in candidates if shutil.which(name)), candidates[0])
