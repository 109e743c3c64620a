# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first schema: the whole domain.

These models are frozen copies: they say what the schema was, whatever the application's models
become.
"""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    Database,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    Model,
    NodeList,
    SqliteDatabase,
    TextField,
)


class Id(AutoField):
    """A primary key that is never used again after its row is gone: folders and keys bear it."""

    def ddl(self, ctx: Any) -> Any:
        definition = super().ddl(ctx)
        if isinstance(self.model._meta.database, SqliteDatabase):
            return NodeList((definition, SQL("AUTOINCREMENT")))
        return definition


class Table(Model):
    """Base of the frozen models."""

    id = Id()


class User(Table):
    username = CharField(unique=True, max_length=100)
    email = CharField(unique=True)
    role = CharField(max_length=16)
    created_at = DateTimeField()

    class Meta:
        table_name = "users"


class Client(Table):
    name = CharField(unique=True, max_length=100)
    owner = ForeignKeyField(User, null=True, on_delete="SET NULL")
    key_hash = CharField(unique=True, max_length=64)
    sealed_key = TextField(null=True)
    ssh_public_key = TextField()
    sealed_ssh_private_key = TextField(null=True)
    hostname = CharField(null=True)
    ip_address = CharField(null=True, max_length=64)
    mac_address = CharField(null=True, max_length=17)
    os_info = CharField(null=True)
    agent_version = CharField(null=True, max_length=64)
    borg_version = CharField(null=True, max_length=64)
    borg_install_method = CharField(null=True, max_length=16)
    borg_source = CharField(null=True, max_length=16)
    borg_binary_path = CharField(null=True)
    glibc_version = CharField(null=True, max_length=32)
    platform = CharField(null=True, max_length=32)
    architecture = CharField(null=True, max_length=32)
    auto_update_enabled = BooleanField(null=True)
    registered_at = DateTimeField(null=True)
    last_heartbeat = DateTimeField(null=True)
    created_at = DateTimeField()

    class Meta:
        table_name = "clients"


class StorageLocation(Table):
    label = CharField(max_length=100)
    path = CharField(unique=True, max_length=500)
    is_default = BooleanField(default=False)
    capacity_bytes = BigIntegerField(null=True)
    created_at = DateTimeField()

    class Meta:
        table_name = "storage_locations"


class RemoteSshConfig(Table):
    name = CharField(max_length=100)
    provider = CharField(null=True, max_length=32)
    remote_host = CharField()
    remote_port = IntegerField(default=22)
    remote_user = CharField(max_length=100)
    remote_base_path = CharField(max_length=500, default="./")
    borg_remote_path = CharField(null=True, max_length=500)
    append_repo_name = BooleanField(default=True)
    sealed_private_key = TextField(null=True)
    disk_total_bytes = BigIntegerField(null=True)
    disk_used_bytes = BigIntegerField(null=True)
    disk_free_bytes = BigIntegerField(null=True)
    disk_checked_at = DateTimeField(null=True)
    created_at = DateTimeField()

    class Meta:
        table_name = "remote_ssh_configs"


class Repository(Table):
    client = ForeignKeyField(Client, on_delete="CASCADE")
    name = CharField(max_length=100)
    encryption = CharField(max_length=32)
    sealed_passphrase = TextField(null=True)
    storage_type = CharField(max_length=16)
    storage_location = ForeignKeyField(StorageLocation, null=True, on_delete="RESTRICT")
    remote_ssh_config = ForeignKeyField(RemoteSshConfig, null=True, on_delete="RESTRICT")
    path = CharField(max_length=500)
    size_bytes = BigIntegerField(default=0)
    size_is_stale = BooleanField(index=True, default=False)
    created_at = DateTimeField()

    class Meta:
        table_name = "repositories"
        indexes = ((("client", "path"), True),)


class Plan(Table):
    client = ForeignKeyField(Client, on_delete="CASCADE")
    name = CharField(max_length=100)
    repository = ForeignKeyField(Repository, on_delete="RESTRICT")
    directories = TextField()
    excludes = TextField(null=True)
    advanced_options = TextField(null=True)
    enabled = BooleanField(default=True)
    paused = BooleanField(default=False)
    frequency = CharField(max_length=30)
    times = CharField(null=True)
    day_of_week = CharField(null=True, max_length=20)
    day_of_month = CharField(null=True, max_length=20)
    timezone = CharField(max_length=64)
    prune_minutes = IntegerField()
    prune_hours = IntegerField()
    prune_days = IntegerField()
    prune_weeks = IntegerField()
    prune_months = IntegerField()
    prune_years = IntegerField()
    next_run = DateTimeField(index=True, null=True)
    last_run = DateTimeField(null=True)
    created_at = DateTimeField()

    class Meta:
        table_name = "plans"
        indexes = ((("client", "name"), True),)


class PluginConfig(Table):
    client = ForeignKeyField(Client, on_delete="CASCADE")
    plugin = CharField(max_length=32)
    name = CharField(max_length=100)
    config = TextField()
    created_at = DateTimeField()

    class Meta:
        table_name = "plugin_configs"
        indexes = ((("client", "plugin", "name"), True),)


class Job(Table):
    client = ForeignKeyField(Client, on_delete="CASCADE")
    plan = ForeignKeyField(Plan, null=True, on_delete="SET NULL")
    repository = ForeignKeyField(Repository, null=True, on_delete="SET NULL")
    plugin_config = ForeignKeyField(PluginConfig, null=True, on_delete="SET NULL")
    parent_job = ForeignKeyField("self", null=True, on_delete="SET NULL")
    task_type = CharField(max_length=32)
    status = CharField(max_length=16)
    archive_name = CharField(null=True)
    files_total = BigIntegerField(null=True)
    files_processed = BigIntegerField(null=True)
    bytes_total = BigIntegerField(null=True)
    bytes_processed = BigIntegerField(null=True)
    duration_seconds = IntegerField(null=True)
    error_log = TextField(null=True)
    status_message = CharField(null=True)
    task_result = TextField(null=True)
    had_warnings = BooleanField(default=False)
    retry_count = IntegerField(default=0)
    not_before = DateTimeField(null=True)
    restore_archive_id = IntegerField(null=True)
    restore_paths = TextField(null=True)
    restore_destination = TextField(null=True)
    restore_databases = TextField(null=True)
    due_at = DateTimeField(null=True)
    queued_at = DateTimeField()
    started_at = DateTimeField(null=True)
    completed_at = DateTimeField(null=True)
    last_progress_at = DateTimeField(null=True)

    class Meta:
        table_name = "jobs"
        indexes = (
            (("plan", "due_at"), True),
            (("status", "id"), False),
            (("client", "queued_at"), False),
            (("repository", "status"), False),
        )


class Archive(Table):
    repository = ForeignKeyField(Repository, on_delete="CASCADE")
    job = ForeignKeyField(Job, null=True, on_delete="SET NULL")
    plan = ForeignKeyField(Plan, null=True, on_delete="SET NULL")
    name = CharField()
    file_count = BigIntegerField(default=0)
    original_size = BigIntegerField(default=0)
    deduplicated_size = BigIntegerField(default=0)
    databases = TextField(null=True)
    created_at = DateTimeField()

    class Meta:
        table_name = "archives"
        indexes = ((("repository", "name"), True),)


class AuditEntry(Table):
    at = DateTimeField(index=True)
    level = CharField(max_length=16)
    actor = CharField(max_length=100)
    address = CharField(null=True, max_length=64)
    action = CharField(max_length=64)
    client = ForeignKeyField(Client, null=True, on_delete="SET NULL")
    message = TextField()

    class Meta:
        table_name = "audit_log"


class FailedLogin(Table):
    bucket = CharField(max_length=16)
    address = CharField(max_length=64)
    failures = IntegerField()
    window_ends = DateTimeField()

    class Meta:
        table_name = "failed_logins"
        indexes = ((("bucket", "address"), True),)


class JobLog(Table):
    job = ForeignKeyField(Job, on_delete="CASCADE")
    at = DateTimeField()
    level = CharField(max_length=16)
    message = TextField()

    class Meta:
        table_name = "job_logs"


class PlanPlugin(Table):
    plan = ForeignKeyField(Plan, on_delete="CASCADE")
    plugin_config = ForeignKeyField(PluginConfig, on_delete="CASCADE")
    position = IntegerField()

    class Meta:
        table_name = "plan_plugins"
        indexes = ((("plan", "plugin_config"), True),)


class Setting(Model):
    name = CharField(primary_key=True, max_length=64)
    value = TextField()

    class Meta:
        table_name = "settings"


class Token(Table):
    name = CharField(unique=True, max_length=100)
    token_hash = CharField(unique=True, max_length=64)
    user = ForeignKeyField(User, on_delete="CASCADE")
    scope = CharField(max_length=16)
    can_read_secrets = BooleanField(default=False)
    expires_at = DateTimeField(null=True)
    created_at = DateTimeField()
    last_used_at = DateTimeField(null=True)
    last_seen_ip = CharField(null=True, max_length=64)

    class Meta:
        table_name = "tokens"


TABLES = (
    User,
    Client,
    StorageLocation,
    RemoteSshConfig,
    Repository,
    Plan,
    PluginConfig,
    Job,
    Archive,
    AuditEntry,
    FailedLogin,
    JobLog,
    PlanPlugin,
    Setting,
    Token,
)


def up(migrator: Any, database: Database) -> None:
    """Create all tables."""
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES)
