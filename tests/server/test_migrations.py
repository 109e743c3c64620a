# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema: what migrations make is what the models say."""

from __future__ import annotations

from pathlib import Path

import peewee
import pytest

from bbs_server import db
from bbs_server.models import TABLES


def shape(database: peewee.Database) -> dict[str, object]:
    """Every table's columns, indexes and foreign keys."""
    found: dict[str, object] = {}
    for table in TABLES:
        name = table._meta.table_name  # type: ignore[attr-defined]  # peewee's metadata
        columns = sorted((c.name, c.data_type, c.null, c.primary_key) for c in database.get_columns(name))
        indexes = sorted((tuple(index.columns), index.unique) for index in database.get_indexes(name))
        rules = database.execute_sql(f"pragma foreign_key_list({name})").fetchall()
        keys = sorted((row[3], row[2], row[6]) for row in rules)
        found[name] = (columns, indexes, keys)
    return found


def test_migrations_make_what_the_models_say(tmp_path: Path) -> None:
    migrated = db.open_database(f"sqlite:///{tmp_path / 'migrated'}")
    db.migrate(migrated)
    with migrated.connection_context():
        by_migrations = shape(migrated)

    modelled = db.open_database(f"sqlite:///{tmp_path / 'modelled'}")
    with modelled.connection_context():
        modelled.create_tables(TABLES)
        by_models = shape(modelled)

    assert by_migrations == by_models


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    database = db.open_database(f"sqlite:///{tmp_path / 'database'}")
    assert [name.split("_")[0] for name in db.migrate(database)] == ["0001", "0002", "0003"]
    assert db.migrate(database) == []
    assert db.pending(database) == []


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    database = db.open_database(f"sqlite:///{tmp_path / 'database'}")
    db.migrate(database)
    with database.connection_context():
        (history,) = [name for name in database.get_tables() if "migration" in name]
        columns = [column.name for column in database.get_columns(history)]
        database.execute_sql(f"update {history} set {columns[columns.index('name')]} = '9999_later' where id = 2")

    with pytest.raises(db.DatabaseError, match="newer version"):
        db.migrate(database)
