# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database: opening it from a URL, and bringing its schema up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee
from playhouse.migrations import Runner
from playhouse.pool import PooledSqliteDatabase

from bbs_server import models, postgresql
from bbs_server.database_errors import DatabaseError, is_locked

MIGRATIONS = Path(__file__).parent / "migrations"

_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "normal",
    "foreign_keys": 1,
    # Last: until then the driver waits by itself. See Sqlite._patiently.
    "busy_timeout": 0,
}


_LOOK_SECONDS = 0.001

WRITING = "IMMEDIATE"
"""What :meth:`Sqlite.begin` takes to hold all other writers off."""


class Sqlite(PooledSqliteDatabase):  # type: ignore[misc]  # playhouse has no types
    """One file; connections to it are kept open between requests, one for each thread that needs one."""

    def __init__(self, path: str) -> None:
        super().__init__(path, max_connections=0, pragmas=_SQLITE_PRAGMAS, check_same_thread=False)
        self.patience = 10.0
        """Seconds to wait for another's writing before the error says that the database is busy."""

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction; one that writes is on the disk after its COMMIT, whatever happens to the power.

        What is written outside of one, heartbeats and the like, may be a moment old after that.
        """
        if lock_type == WRITING:
            self.cursor().execute("PRAGMA synchronous = full")
        self._patiently(super().begin, lock_type)

    def commit(self) -> None:
        """Commit, and go back to writes that nobody waits for."""
        super().commit()
        self.cursor().execute("PRAGMA synchronous = normal")

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement; one that writes outside of a transaction waits for its turn too."""
        return self._patiently(super().execute_sql, sql, params)

    def _patiently(self, run: Callable[..., Any], *arguments: Any) -> Any:
        """Do something as soon as nobody else writes.

        SQLite's own waiting (``busy_timeout``) looks again after ever longer pauses, so that under load those who
        came last go first and a few wait for seconds (docs/adr/0013-sqlite-writers.md).
        """
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return run(*arguments)
            except peewee.OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_SECONDS)

    def describe(self) -> str:
        """Which database this is and how large."""
        size = self.pragma("page_count") * self.pragma("page_size")
        return f"SQLite {'.'.join(map(str, self.server_version))}, {self.database}, {size // 1024**2} MiB"


Database = Sqlite | postgresql.PostgreSQL


def open_database(url: str, password_file: str = "") -> Database:
    """Open the database and bind the models to it.

    :param url: ``sqlite:///PATH`` or ``postgresql://…``.
    :param password_file: file with PostgreSQL's password; empty: it stands in the URL or in the environment.
    :raises DatabaseError: the URL's scheme is not supported, or the URL is malformed.
    """
    scheme = url.split(":", 1)[0]
    if scheme == "sqlite":
        database: Database = Sqlite(url.removeprefix("sqlite:///"))
    elif scheme in postgresql.SCHEMES:
        database = postgresql.connect(url, password_file)
    else:
        raise DatabaseError("Unsupported database: use sqlite:///PATH or postgresql://USER@HOST/DATABASE.")
    models.proxy.initialize(database)
    return database


@contextmanager
def opened(url: str, password_file: str = "") -> Iterator[Database]:
    """The same for as long as a ``with`` block lasts."""
    database = open_database(url, password_file)
    try:
        yield database
    finally:
        database.close_all()


def writing(database: peewee.Database) -> AbstractContextManager[Any]:
    """A transaction that holds off all others of its kind from its beginning.

    Two transactions that first read and then write would otherwise fail, or write what is no longer true.
    """
    return database.atomic(postgresql.WRITING if isinstance(database, postgresql.PostgreSQL) else WRITING)


def migrate(database: peewee.Database) -> list[str]:
    """Apply pending migrations in order.

    :return: the names of those applied now.
    :raises DatabaseError: the schema is newer than this program, or the database compares text in its own way.
    """
    runner = Runner(database, directory=str(MIGRATIONS))
    with database.connection_context(), _alone(database):
        _refuse_newer(runner)
        applied: list[str] = runner.up()
    return applied


@contextmanager
def _alone(database: peewee.Database) -> Iterator[None]:
    """Keep servers that share a database from migrating it at the same time."""
    if not isinstance(database, postgresql.PostgreSQL):
        yield
        return
    database.require_bytewise_order()
    database.lock_migrations()
    try:
        yield
    finally:
        database.unlock_migrations()


def pending(database: peewee.Database) -> list[str]:
    """Names of migrations that :func:`migrate` would apply.

    :raises DatabaseError: the schema is newer than this program.
    """
    runner = Runner(database, directory=str(MIGRATIONS))
    with database.connection_context():
        _refuse_newer(runner)
        return [migration.name for migration in runner.status() if migration.applied is None]


def _refuse_newer(runner: Any) -> None:
    unknown = [migration.name for migration in runner.status() if migration.path is None]
    if unknown:
        raise DatabaseError(
            f"The database was made by a newer version (it has {', '.join(unknown)}): install that version again."
        )


def naive(moment: datetime) -> datetime:
    """The form in which times stand in raw SQL: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
