# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients in the order of lists: without sorting all for each page of them."""

from __future__ import annotations

from typing import Any

from peewee import Database


def up(_: Any, database: Database) -> None:
    """Add the index; both databases take an expression."""
    database.execute_sql('CREATE INDEX "clients_by_name" ON "clients" (LOWER("name"), "id")')
