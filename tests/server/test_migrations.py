# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema: what migrations make is what the models say."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from playhouse.migrations import Runner

from bbs_server import db
from bbs_server.db.errors import DatabaseError
from bbs_server.db.sqlite import Sqlite
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
        # An index on an expression has None among its columns.
        indexes = sorted(((tuple(index.columns), index.unique) for index in database.get_indexes(name)), key=repr)
        found[name] = (columns, indexes, foreign_keys(database, name))
    return found


def foreign_keys(database: db.Database, table: str) -> list[tuple[str, ...]]:
    """Columns, the tables they refer to, and what a deletion there does."""
    if isinstance(database, Sqlite):
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


NAMES = sorted(file.stem for file in db.MIGRATIONS.glob("[0-9]*.py"))
KILLED = 9
MOST_STATEMENTS = 1000


@pytest.fixture(scope="module")
def fresh(new_url: Callable[[], str]) -> dict[str, object]:
    """The shape of a database that was migrated in one go."""
    with db.opened(new_url()) as made:
        db.migrate(made)
        with made.connection_context():
            return shape(made)


def rows(database: db.Database) -> dict[str, int]:
    """How many rows there are in each table that there is."""
    names = [name for name in database.get_tables() if "migration" not in name and "sqlite" not in name]
    return {name: database.execute_sql(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(names)}


def fill(database: db.Database) -> None:
    """A row in every table, whatever its columns are by now."""
    there = set(database.get_tables())
    for table in (name for model in TABLES if (name := model._meta.table_name) in there):  # type: ignore[attr-defined]
        needed = [column for column in database.get_columns(table) if not column.null and column.name != "id"]
        values = [value_of(column.data_type.upper()) for column in needed]
        names = ", ".join(f'"{column.name}"' for column in needed)
        places = ", ".join([database.param] * len(values))
        database.execute_sql(f'INSERT INTO "{table}" ({names}) VALUES ({places})', values)


def value_of(kind: str) -> object:
    if "TIME" in kind:
        return "2026-11-23 12:00:00"
    if "BOOL" in kind:
        return False
    if "INT" in kind or "NUMERIC" in kind:
        return 1
    return "x"


@pytest.mark.parametrize("released", NAMES)
def test_each_schema_there_ever_was_becomes_the_newest(
    new_url: Callable[[], str], fresh: dict[str, object], released: str
) -> None:
    """Rows stay. Until the first release, the schema after each migration counts as a released one."""
    with db.opened(new_url()) as database:
        with database.connection_context():
            Runner(database, directory=str(db.MIGRATIONS)).up(released)
            fill(database)
            before = rows(database)
        assert db.migrate(database) == NAMES[NAMES.index(released) + 1 :]
        with database.connection_context():
            assert shape(database) == fresh
            after = rows(database)
        assert before == {name: after[name] for name in before}
        assert set(before.values()) == {1}


def killed_while_migrating(url: str, fatal: int) -> bool:
    """Migrate in a process that ends before a certain statement; false when there is no such statement."""
    with warnings.catch_warnings():
        # The child migrates and ends.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            count = 0
            database = db.open_database(url)
            execute = database.execute_sql

            def counted(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count == fatal:
                    os._exit(KILLED)
                return execute(*arguments)

            database.execute_sql = counted
            db.migrate(database)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def test_a_migration_that_is_killed_anywhere_goes_on(new_url: Callable[[], str], fresh: dict[str, object]) -> None:
    # Not before each single one, which would take a while; on PostgreSQL even an empty database does.
    step = 3 if "sqlite" in new_url() else 9
    for fatal in range(1, MOST_STATEMENTS, step):
        url = new_url()
        killed = killed_while_migrating(url, fatal)
        with db.opened(url) as database:
            db.migrate(database)
            with database.connection_context():
                assert shape(database) == fresh, f"killed before statement {fatal}"
        if not killed:
            assert fatal > len(TABLES)
            return
    raise AssertionError("The migration never ended.")
