# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What opens deleted repositories, as long as their data is there."""

from __future__ import annotations

from typing import Any

from peewee import CharField, Database, DateTimeField, ForeignKeyField, IntegerField, Model, TextField


class StorageLocation(Model):
    class Meta:
        table_name = "storage_locations"


class DeletedRepository(Model):
    client_id = IntegerField()
    client_name = CharField(max_length=100)
    name = CharField(max_length=100)
    encryption = CharField(max_length=32)
    sealed_passphrase = TextField(null=True)
    storage_location = ForeignKeyField(StorageLocation, null=True, on_delete="SET NULL")
    path = TextField()
    deleted_at = DateTimeField()

    class Meta:
        table_name = "deleted_repositories"


def up(_: Any, database: Database) -> None:
    """Add the table."""
    with database.bind_ctx((StorageLocation, DeletedRepository)):
        database.create_tables([DeletedRepository])
