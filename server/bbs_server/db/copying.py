# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moving a server from SQLite to PostgreSQL: every row copied, then both sides counted and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import peewee

from bbs_server import db
from bbs_server.clock import system_clock
from bbs_server.db import naive
from bbs_server.db.errors import DatabaseError
from bbs_server.db.postgresql import PostgreSQL
from bbs_server.models import TABLES

_HISTORY = "schema_migration"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Copied:
    """One table that is the same on both sides.

    ``checksum`` is the SHA-256 of its rows in the order of their keys.
    """

    table: str
    rows: int
    checksum: str


def copy(source: peewee.SqliteDatabase, target: PostgreSQL) -> list[Copied]:
    """Copy everything in one transaction; the source is only read.

    :param source: a database whose schema is up to date, opened read-only, that nobody writes to meanwhile.
    :param target: an empty database; it gets the schema.
    :raises DatabaseError: the source is not up to date or a worker is at work on it, the target is not empty, or the
        sides differ afterwards; then the target holds no rows.
    """
    if db.pending(source):
        raise DatabaseError("The SQLite database's schema is not up to date: run 'bbs-server migrate' first.")
    with source.connection_context():
        _require_no_worker(source)
    with target.connection_context():
        _require_empty(target)
    db.migrate(target)
    with source.connection_context(), target.connection_context(), source.atomic(), db.writing(target):
        for table in _tables():
            table.fill(target, table.rows(source))
            table.continue_numbers(source, target)
        return [_compared(table, source, target) for table in _tables()]


@dataclass(frozen=True)
class _Table:
    """A table in terms of both databases."""

    name: str
    fields: tuple[peewee.Field, ...]
    key: str

    @property
    def _columns(self) -> str:
        return ", ".join(f'"{field.column_name}"' for field in self.fields)

    def rows(self, database: peewee.Database) -> Iterator[Row]:
        """All rows by key, their values in one form whatever the database."""
        query = f'SELECT {self._columns} FROM "{self.name}" ORDER BY "{self.key}"'
        with closing(_streaming(database, query)) as cursor:
            for row in cursor:
                yield tuple(
                    field.db_value(field.python_value(value)) for field, value in zip(self.fields, row, strict=True)
                )

    def fill(self, target: PostgreSQL, rows: Iterable[Row]) -> None:
        with (
            closing(target.cursor()) as cursor,
            cursor.copy(f'COPY "{self.name}" ({self._columns}) FROM STDIN') as into,
        ):
            for row in rows:
                into.write_row(row)

    def continue_numbers(self, source: peewee.SqliteDatabase, target: PostgreSQL) -> None:
        """No id is used again, also not that of a row that was deleted last: folders and keys bear them."""
        if self.key != "id":
            return
        (used,) = source.execute_sql(f'SELECT COALESCE(MAX(id), 0) FROM "{self.name}"').fetchone()
        noted = source.execute_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (self.name,)).fetchone()
        last = max(used, noted[0] if noted else 0)
        if last:
            target.execute_sql("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (self.name, last))


def _tables() -> list[_Table]:
    """All tables, each after those it refers to."""
    metas: list[Any] = [model._meta for model in peewee.sort_models(TABLES)]  # type: ignore[attr-defined]
    return [_Table(meta.table_name, tuple(meta.sorted_fields), meta.primary_key.column_name) for meta in metas]


def _require_no_worker(source: peewee.SqliteDatabase) -> None:
    """A worker of its own has no pid file, but leases."""
    now = naive(system_clock()).isoformat(" ")
    if source.execute_sql("SELECT 1 FROM leases WHERE expires_at > ? LIMIT 1", (now,)).fetchone():
        raise DatabaseError("A worker is running, or was killed a moment ago: stop it, and wait until its leases end.")


def _require_empty(target: PostgreSQL) -> None:
    own = {table.name for table in _tables()}
    for name in target.get_tables():
        if name == _HISTORY:
            continue
        if name not in own or target.execute_sql(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone():
            raise DatabaseError(f"The target is not empty: it has a table {name}. Name a new database.")


def _compared(table: _Table, source: peewee.SqliteDatabase, target: PostgreSQL) -> Copied:
    before, after = _told(table, source), _told(table, target)
    if before != after:
        raise DatabaseError(
            f"The table {table.name} differs after copying ({before.rows} and {after.rows} rows): nothing was kept."
        )
    return after


def _told(table: _Table, database: peewee.Database) -> Copied:
    count, digest = 0, hashlib.sha256()
    for row in table.rows(database):
        count += 1
        digest.update(repr(row).encode())
    return Copied(table.name, count, digest.hexdigest())


def _streaming(database: peewee.Database, query: str) -> Any:
    """A cursor that does not take the whole table into memory."""
    if isinstance(database, PostgreSQL):
        cursor: Any = database.cursor(named_cursor=True)
        cursor.execute(query)
        return cursor
    return database.execute_sql(query)
