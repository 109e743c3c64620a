# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`pg_dump`: PostgreSQL."""

from typing import Dict, Iterable, List, Optional

from .dump_files import DumpFiles, pg_section
from .dumps import DatabaseDump, Wanted

LIST = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"
FORM = (
    "SELECT format(' OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_get_userbyid(datdba),"
    " pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = {}"
)
LOG_OUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"


class PgDump(DatabaseDump):
    """The password goes through PGPASSWORD, which only the program itself and root can read."""

    label = "PostgreSQL Dump"
    slug = "pg_dump"
    default_port = 5432
    default_dump_dir = "/home/bbs/pgdump"
    default_excludes = ["template0", "template1", "postgres"]
    own_databases = ["template0", "template1", "postgres"]
    default_options = "--no-owner --no-privileges"

    def existing(self) -> List[str]:
        return self._sql(LIST)

    def dump(self, database: Optional[str]) -> str:
        argv = ["pg_dumpall"] if database is None else ["pg_dump"]
        argv += self._login() + self.options()
        if database is not None:
            argv.append("--dbname=" + _connection(database))
        return self.to_file(database, argv, self._environment())

    def restore(self, files: DumpFiles, wanted: Wanted) -> None:
        """Fill a new database; only when that has worked does it take the place of the one it replaces."""
        dump = files.sql(wanted.database, pg_section)
        self.refuse(wanted)
        dump.require()
        present = self._form(wanted.target)
        new = "bbs_restore_{}".format(self.scope.job.id)
        self._sql("DROP DATABASE IF EXISTS " + new)
        self._sql("CREATE DATABASE {} TEMPLATE template0{}".format(new, present or self._form(wanted.database)))
        try:
            self._load(new, dump.lines())
            self._put_in_place(new, wanted.target, replaces=bool(present))
        except BaseException:
            self.tidy(self._psql("DROP DATABASE IF EXISTS " + new), self._environment())
            raise

    def _form(self, database: str) -> str:
        """Owner, encoding and locale of a database as CREATE DATABASE takes them; "" when there is none."""
        return "".join(self._sql(FORM.format(_text(database))))

    def _load(self, database: str, lines: Iterable[bytes]) -> None:
        argv = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=" + _connection(database)]
        self.load(argv + self._login(), self._environment(), lines)

    def _put_in_place(self, new: str, target: str, replaces: bool) -> None:
        """Rename `new`; the one that was there is dropped after its sessions were ended."""
        rename = "ALTER DATABASE {} RENAME TO {}; "
        if not replaces:
            self._sql(rename.format(new, _identifier(target)))
            return
        name, old = _identifier(target), new + "_old"
        self._sql("ALTER DATABASE {} ALLOW_CONNECTIONS false".format(name))
        try:
            self._sql(LOG_OUT.format(_text(target)))
            # Both in one transaction: there is never none of that name.
            self._sql(rename.format(name, old) + rename.format(new, name))
        except BaseException:
            allow = "ALTER DATABASE {} ALLOW_CONNECTIONS true".format(name)
            self.tidy(self._psql(allow), self._environment())
            raise
        self._sql("DROP DATABASE " + old)

    def _sql(self, statements: str) -> List[str]:
        return self.query(self._psql(statements), self._environment())

    def _psql(self, statements: str) -> List[str]:
        argv = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname=postgres"]
        return argv + self._login() + ["--command=" + statements]

    def _login(self) -> List[str]:
        return [
            "--host=" + self.host,
            "--port={}".format(self.port),
            "--username=" + self.user,
            "--no-password",
        ]

    def _environment(self) -> Dict[str, str]:
        return dict(self.scope.host.environment(), PGPASSWORD=self.password)


def _identifier(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _text(value: str) -> str:
    return "'{}'".format(value.replace("'", "''"))


def _connection(database: str) -> str:
    """A database name as a connection string: taken literally, one with `=` would not be a name."""
    return "dbname='{}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))
