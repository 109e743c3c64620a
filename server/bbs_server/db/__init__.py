# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database: opening it from a URL, and bringing its schema up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee
from playhouse.migrations import Runner

from bbs_server import models
from bbs_server.db import postgresql, sqlite
from bbs_server.db.errors import DatabaseError

MIGRATIONS = Path(__file__).parents[1] / "migrations"

Database = sqlite.Sqlite | postgresql.PostgreSQL


def open_database(url: str, password_file: str = "") -> Database:
    """Open the database and bind the models to it.

    :param url: ``sqlite:///PATH`` or ``postgresql://…``.
    :param password_file: file with PostgreSQL's password; empty: it stands in the URL or in the environment.
    :raises DatabaseError: the URL's scheme is not supported, or the URL is malformed.
    """
    scheme = url.split(":", 1)[0]
    if scheme == "sqlite":
        database: Database = sqlite.Sqlite(url.removeprefix("sqlite:///"))
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
    return database.atomic(postgresql.WRITING if isinstance(database, postgresql.PostgreSQL) else sqlite.WRITING)


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
