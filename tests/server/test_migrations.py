# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema: what migrations make is what the models say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from bbs_server import db
from bbs_server.database_errors import DatabaseError
from bbs_server.models import TABLES

from ..database_servers import open_directory, postgres


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes URLs of empty databases of one engine."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("databases")
        yield lambda: f"sqlite:///{folder}/{uuid4().hex}"
        return
    with open_directory() as directory, postgres(directory / "pg") as cluster:

        def create() -> str:
            name = f"database{uuid4().hex}"
            cluster.sql(f"CREATE DATABASE {name}")
            return cluster.url(name)

        yield create


@pytest.fixture
def database(new_url: Callable[[], str]) -> Iterator[db.Database]:
    """An empty database."""
    with db.opened(new_url()) as made:
        yield made


def shape(database: db.Database) -> dict[str, object]:
    """Every table's columns, indexes and foreign keys."""
    found: dict[str, object] = {}
    for table in TABLES:
        name = table._meta.table_name  # type: ignore[attr-defined]  # peewee's metadata
        columns = sorted((c.name, c.data_type, c.null, c.primary_key) for c in database.get_columns(name))
        indexes = sorted((tuple(index.columns), index.unique) for index in database.get_indexes(name))
        found[name] = (columns, indexes, foreign_keys(database, name))
    return found


def foreign_keys(database: db.Database, table: str) -> list[tuple[str, ...]]:
    """Columns, the tables they refer to, and what a deletion there does."""
    if isinstance(database, db.Sqlite):
        rules = database.execute_sql(f"pragma foreign_key_list({table})").fetchall()
        return sorted((row[3], row[2], row[6]) for row in rules)
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass"
    return sorted(database.execute_sql(query, (table,)).fetchall())


def test_migrations_make_what_the_models_say(new_url: Callable[[], str]) -> None:
    with db.opened(new_url()) as migrated:
        db.migrate(migrated)
        with migrated.connection_context():
            by_migrations = shape(migrated)

    with db.opened(new_url()) as modelled, modelled.connection_context():
        modelled.create_tables(TABLES)
        by_models = shape(modelled)

    assert by_migrations == by_models
    assert all(by_models.values())


def test_a_second_run_changes_nothing(database: db.Database) -> None:
    assert db.migrate(database) == sorted(file.stem for file in db.MIGRATIONS.glob("[0-9]*.py"))
    assert db.migrate(database) == []
    assert db.pending(database) == []


def test_a_newer_schema_is_refused(database: db.Database) -> None:
    db.migrate(database)
    with database.connection_context():
        (history,) = [name for name in database.get_tables() if "migration" in name]
        database.execute_sql(f"update {history} set name = '9999_later' where id = 2")

    with pytest.raises(DatabaseError, match="newer version"):
        db.migrate(database)
