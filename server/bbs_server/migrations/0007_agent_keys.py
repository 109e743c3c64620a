# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agent keys that expire before the first registration, and the one before while a new one is taken up."""

from __future__ import annotations

from typing import Any

from peewee import CharField, Database, DateTimeField


def up(migrator: Any, _: Database) -> None:
    """Add the columns. Clients that are there already keep keys that do not expire."""
    migrator.migrate(
        migrator.add_column("clients", "key_expires_at", DateTimeField(null=True)),
        migrator.add_column("clients", "previous_key_hash", CharField(64, null=True)),
        migrator.add_column("clients", "previous_key_until", DateTimeField(null=True)),
        migrator.add_index("clients", ("previous_key_hash",), unique=True),
    )
