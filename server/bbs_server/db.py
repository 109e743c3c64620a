# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database: opening it from a URL, and bringing its schema up to date."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee
from playhouse.migrations import Runner

from bbs_server import models

MIGRATIONS = Path(__file__).parent / "migrations"

_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "normal",
    "foreign_keys": 1,
    "busy_timeout": 10_000,
}


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


def open_database(url: str) -> peewee.Database:
    """Open the database and bind the models to it.

    :param url: ``sqlite:///PATH``.
    :raises DatabaseError: the URL's scheme is not supported.
    """
    scheme = url.split(":", 1)[0]
    if scheme != "sqlite":
        raise DatabaseError(f"Unsupported database {scheme!r}: use sqlite:///PATH.")
    database = peewee.SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=_SQLITE_PRAGMAS)
    models.proxy.initialize(database)
    return database


def migrate(database: peewee.Database) -> list[str]:
    """Apply pending migrations in order.

    :return: the names of those applied now.
    :raises DatabaseError: the schema is newer than this program.
    """
    runner = Runner(database, directory=str(MIGRATIONS))
    with database.connection_context():
        _refuse_newer(runner)
        applied: list[str] = runner.up()
    return applied


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
