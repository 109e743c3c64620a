# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""File catalogues of archives, and what a task of an agent needs to know."""

from __future__ import annotations

from typing import Any

from peewee import BooleanField, CharField, Database, TextField


def up(migrator: Any, database: Database) -> None:
    """Add the columns."""
    migrator.migrate(
        migrator.add_column("archives", "catalogue", CharField(max_length=16, null=True)),
        migrator.add_column("archives", "catalogue_is_waiting", BooleanField(default=False, index=True)),
        migrator.add_column("jobs", "task_parameters", TextField(null=True)),
    )
