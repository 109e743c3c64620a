# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL as the database, for fleets that outgrow one machine (docs/adr/0005-postgresql.md)."""

from __future__ import annotations

import re
import select
from pathlib import Path
from typing import Any

import peewee
from playhouse.pool import PooledPostgresqlDatabase

from bbs_server.db.errors import DatabaseError, OutcomeUnknown, is_away

SCHEMES = ("postgresql", "postgres")

WRITING = "writing"
"""What :meth:`PostgreSQL.begin` takes in place of an isolation level to hold all other writers off."""

_WRITERS, _MIGRATIONS = 0x626273_01, 0x626273_02
"""Numbers of the advisory locks; the application's own, the same in every version."""

_SESSION = {
    "timezone": "UTC",
    # As long as SQLite's patience (db.py): a writer that waits longer is told so.
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    # A process that hangs in a transaction holds all writers up.
    "idle_in_transaction_session_timeout": "60s",
}

_CONNECTION = {
    "application_name": "bbs-server",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    # Half a minute after which a database that vanished without a word counts as gone.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
}

_BYTEWISE = ("C", "POSIX")


class PostgreSQL(PooledPostgresqlDatabase):  # type: ignore[misc]  # playhouse has no types
    """A database whose connections are kept open between requests, one for each thread that needs one.

    Integers and ids have 64 bits, as in SQLite.
    """

    def __init__(self, parameters: dict[str, str]) -> None:
        wide = {"AUTO": "BIGSERIAL", "INT": "BIGINT"}
        given = {name: value for name, value in parameters.items() if name != "dbname"}
        super().__init__(
            parameters["dbname"], max_connections=0, field_types=wide, prefer_psycopg3=True, **_CONNECTION | given
        )

    def _initialize_connection(self, conn: Any) -> None:
        # Sent and not given as options of the connection, which poolers refuse.
        conn.execute("; ".join(f"SET {name} = '{value}'" for name, value in _SESSION.items()))

    def _is_closed(self, conn: Any) -> bool:
        """Whether the server ended a connection that was idle: then, and only then, there is something to read."""
        if not conn.closed:
            waiting = select.poll()
            waiting.register(conn.fileno(), select.POLLIN)
            if not waiting.poll(0):
                return False
        conn.close()
        return True

    def begin(self, isolation_level: str | None = None) -> None:
        """Begin a transaction; with ``WRITING``, wait until no other writer is at work (one round trip)."""
        if isolation_level != WRITING:
            super().begin(isolation_level)
            return
        try:
            self.execute_sql(f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS})")
        except peewee.PeeweeException:
            self.rollback()
            raise

    def commit(self) -> None:
        """Commit.

        :raises OutcomeUnknown: the connection was lost meanwhile.
        """
        try:
            super().commit()
        except peewee.PeeweeException as error:
            if is_away(error):
                raise OutcomeUnknown(getattr(error, "orig", None), *error.args) from error
            raise

    def rollback(self) -> None:
        """Roll back; with a connection that was lost, PostgreSQL has done so."""
        if not self.connection().closed:
            super().rollback()

    def lock_migrations(self) -> None:
        """Hold off other processes that migrate, until the connection is closed or the lock given back."""
        self.execute_sql("SET lock_timeout = 0; SET statement_timeout = 0")
        self.execute_sql(f"SELECT pg_advisory_lock({_MIGRATIONS})")

    def unlock_migrations(self) -> None:
        """Give back what :meth:`lock_migrations` took."""
        self.execute_sql(f"SELECT pg_advisory_unlock({_MIGRATIONS})")
        self._initialize_connection(self.connection())

    def require_bytewise_order(self) -> None:
        """Refuse a database that would order and compare text otherwise than SQLite does.

        :raises DatabaseError: its encoding is not UTF8, or its collation is a language's.
        """
        found = self.execute_sql(
            "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        if found[0] not in _BYTEWISE or found[1] != "UTF8":
            raise DatabaseError(
                f"The PostgreSQL database has the collation {found[0]} and the encoding {found[1]}; C and UTF8 are"
                " needed: create it with 'createdb --template=template0 --locale=C --encoding=UTF8'."
            )

    def describe(self) -> str:
        """Which database this is and how large, without its password."""
        size, version = self.execute_sql(
            "SELECT pg_database_size(current_database()), current_setting('server_version')"
        ).fetchone()
        place = self.connect_params.get("host") or "the local socket"
        return f"PostgreSQL {version.split()[0]}, {self.database} at {place}, {size // 1024**2} MiB"


def connect(url: str, password_file: str = "") -> PostgreSQL:
    """Take a URL apart; nothing is opened yet.

    :param url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE``, as libpq reads it. What is left
        out comes from libpq's environment (``PGPASSWORD``, ``PGPASSFILE``, …).
    :param password_file: file that holds the password, alone; empty: none.
    :raises DatabaseError: no driver, a malformed URL, an unreadable file. No message repeats what stands in the URL,
        as it may be a part of the password.
    """
    return PostgreSQL(parameters(url, password_file))


def parameters(url: str, password_file: str = "") -> dict[str, str]:
    """A URL's parts by libpq's names, the password among them; arguments and errors as for :func:`connect`."""
    found = _parameters(url)
    if not re.fullmatch(r"[\w.,:/%-]*", found.get("host", "")) or not re.fullmatch(r"[\d,]*", found.get("port", "")):
        raise DatabaseError(_MALFORMED)
    if not found.get("dbname"):
        raise DatabaseError("The database URL names no database: postgresql://USER@HOST/DATABASE.")
    if password_file:
        found["password"] = _password(Path(password_file))
    return found


def holds_password(url: str) -> bool:
    """Whether a password stands in the URL itself."""
    return "password" in _parameters(url)


def _parameters(url: str) -> dict[str, str]:
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise DatabaseError("PostgreSQL needs the driver psycopg 3: pip install 'bbs-server[postgresql]'.") from error
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (Error, UnicodeError):
        raise DatabaseError(_MALFORMED) from None


_MALFORMED = (
    "The database URL is malformed: postgresql://USER:PASSWORD@HOST:PORT/DATABASE is expected; characters other than"
    " letters, digits, '-', '.', '_' and '~' in user and password are written as %XX."
)


def _password(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DatabaseError(f"The database's password file {file} cannot be read: {reason}.") from None
    if not text:
        raise DatabaseError(f"The database's password file {file} is empty.")
    return text
