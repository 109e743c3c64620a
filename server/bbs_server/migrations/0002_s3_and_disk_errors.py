# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of repositories in S3, and why the last look at a remote host's disk failed.

These models are frozen copies: they say what the schema was, whatever the application's models
become.
"""

from __future__ import annotations

from typing import Any

from peewee import BooleanField, CharField, Database, DateTimeField, ForeignKeyField, Model, TextField


class Repository(Model):
    class Meta:
        table_name = "repositories"


class PluginConfig(Model):
    class Meta:
        table_name = "plugin_configs"


class S3Credentials(Model):
    endpoint = CharField(max_length=500)
    region = CharField(max_length=100)
    bucket = CharField(max_length=100)
    path_prefix = CharField(max_length=500)
    sealed_access_key = TextField(null=True)
    sealed_secret_key = TextField(null=True)

    class Meta:
        table_name = "s3_credentials"


class S3Link(Model):
    repository = ForeignKeyField(Repository, unique=True, on_delete="CASCADE")
    plugin_config = ForeignKeyField(PluginConfig, on_delete="CASCADE")
    enabled = BooleanField()
    last_sync_at = DateTimeField(null=True)

    class Meta:
        table_name = "s3_links"


TABLES = (S3Credentials, S3Link)


def up(migrator: Any, database: Database) -> None:
    """Add the tables and the column."""
    with database.bind_ctx((Repository, PluginConfig, *TABLES)):
        database.create_tables(TABLES)
    migrator.migrate(migrator.add_column("remote_ssh_configs", "disk_check_error", TextField(null=True)))
