# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`pg_dump`: PostgreSQL."""

from typing import Dict, List, Optional

from .dumps import DatabaseDump

LIST = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"


class PgDump(DatabaseDump):
    """The password goes through PGPASSWORD, which only the program itself and root can read."""

    label = "PostgreSQL Dump"
    slug = "pg_dump"
    default_port = 5432
    default_dump_dir = "/home/bbs/pgdump"
    default_excludes = ["template0", "template1", "postgres"]
    default_options = "--no-owner --no-privileges"

    def existing(self) -> List[str]:
        argv = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--dbname=postgres"]
        return self.query(argv + self._login() + ["--command=" + LIST], self._environment())

    def dump(self, database: Optional[str]) -> str:
        argv = ["pg_dumpall"] if database is None else ["pg_dump"]
        argv += self._login() + self.options()
        if database is not None:
            argv.append("--dbname=" + _connection(database))
        return self.to_file(database, argv, self._environment())

    def _login(self) -> List[str]:
        return [
            "--host=" + self.host,
            "--port={}".format(self.port),
            "--username=" + self.user,
            "--no-password",
        ]

    def _environment(self) -> Dict[str, str]:
        return dict(self.scope.host.environment(), PGPASSWORD=self.password)


def _connection(database: str) -> str:
    """A database name as a connection string: taken literally, one with `=` would not be a name."""
    return "dbname='{}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))
