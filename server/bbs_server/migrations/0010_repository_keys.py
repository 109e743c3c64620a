# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of encrypted repositories, their keys among them. The worker records those that are there already."""

from __future__ import annotations

from typing import Any

from peewee import Database, TextField


def up(migrator: Any, database: Database) -> None:
    """Add the column, and have every repository looked at."""
    migrator.migrate(migrator.add_column("repositories", "sealed_config", TextField(null=True)))
    database.execute_sql("UPDATE repositories SET size_is_stale = TRUE")
