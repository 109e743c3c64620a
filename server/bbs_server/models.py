# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is stored. Rules live in ``services``; the schema itself in ``migrations``.

Attributes that are only annotated are made by peewee: the ids of foreign keys, and back references.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from peewee import (
    AutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    DatabaseProxy,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    Model,
    ModelSelect,
    TextField,
    fn,
)

proxy = DatabaseProxy()

NAME_LENGTH = 100
"""Characters in the name of any object (admin-api.md §3)."""


class UtcField(DateTimeField):
    """A time zone aware UTC time, stored without its zone."""

    def db_value(self, value: datetime | None) -> Any:
        return super().db_value(value.astimezone(UTC).replace(tzinfo=None) if value else None)

    def python_value(self, value: Any) -> datetime | None:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
        return parsed.replace(tzinfo=UTC) if parsed else None


class Table(Model):
    """Base of the tables: binds them to the one database."""

    id = AutoField()

    class Meta:
        database = proxy
        legacy_table_names = False
        # What others changed meanwhile stays; and the shorter statement is made in a third of the time.
        only_save_dirty = True


class Setting(Model):
    """A value the server remembers about itself."""

    name = CharField(64, primary_key=True)
    value = TextField()

    class Meta:
        database = proxy
        table_name = "settings"


class Lease(Model):
    """Something that one process at a time may do, until its time is over."""

    name = CharField(64, primary_key=True)
    holder = CharField(128)
    expires_at = UtcField()

    class Meta:
        database = proxy
        table_name = "leases"


class User(Table):
    """An account that owns tokens and clients."""

    tokens: ModelSelect[Token]
    clients: ModelSelect[Client]

    username = CharField(NAME_LENGTH, unique=True)
    email = CharField(255, unique=True)
    role = CharField(16)
    created_at = UtcField()

    class Meta:
        table_name = "users"


class Token(Table):
    """An API token; only its SHA-256 is stored."""

    user_id: int

    name = CharField(NAME_LENGTH, unique=True)
    token_hash = CharField(64, unique=True)
    user = ForeignKeyField(User, on_delete="CASCADE", backref="tokens")
    scope = CharField(16)
    can_read_secrets = BooleanField(default=False)
    expires_at = UtcField(null=True)
    created_at = UtcField()
    last_used_at = UtcField(null=True)
    last_seen_ip = CharField(64, null=True)

    class Meta:
        table_name = "tokens"


class FailedLogin(Table):
    """Failed authentications of one address within the current window (admin-api.md §2.2)."""

    bucket = CharField(16)
    address = CharField(64)
    failures = IntegerField()
    window_ends = UtcField()

    class Meta:
        table_name = "failed_logins"
        indexes = ((("bucket", "address"), True),)


class StorageLocation(Table):
    """A directory on this server that holds repositories, one folder per client."""

    repositories: ModelSelect[Repository]

    label = CharField(NAME_LENGTH)
    path = CharField(500, unique=True)
    is_default = BooleanField(default=False)
    capacity_bytes = BigIntegerField(null=True)
    created_at = UtcField()

    class Meta:
        table_name = "storage_locations"


class RemoteSshConfig(Table):
    """A third party's SSH server that holds repositories."""

    repositories: ModelSelect[Repository]

    name = CharField(NAME_LENGTH)
    provider = CharField(32, null=True)
    remote_host = CharField(255)
    remote_port = IntegerField(default=22)
    remote_user = CharField(NAME_LENGTH)
    remote_base_path = CharField(500, default="./")
    borg_remote_path = CharField(500, null=True)
    append_repo_name = BooleanField(default=True)
    sealed_private_key = TextField(null=True)
    disk_total_bytes = BigIntegerField(null=True)
    disk_used_bytes = BigIntegerField(null=True)
    disk_free_bytes = BigIntegerField(null=True)
    disk_checked_at = UtcField(null=True)
    disk_check_error = TextField(null=True)
    created_at = UtcField()

    class Meta:
        table_name = "remote_ssh_configs"


class Client(Table):
    """A machine that is backed up."""

    owner_id: int | None
    repositories: ModelSelect[Repository]
    plans: ModelSelect[Plan]
    plugin_configs: ModelSelect[PluginConfig]
    jobs: ModelSelect[Job]

    name = CharField(NAME_LENGTH, unique=True)
    owner = ForeignKeyField(User, null=True, on_delete="SET NULL", backref="clients")
    key_hash = CharField(64, unique=True)
    sealed_key = TextField(null=True)
    key_expires_at = UtcField(null=True)
    previous_key_hash = CharField(64, unique=True, null=True)
    previous_key_until = UtcField(null=True)
    ssh_public_key = TextField()
    sealed_ssh_private_key = TextField(null=True)
    hostname = CharField(255, null=True)
    ip_address = CharField(64, null=True)
    mac_address = CharField(17, null=True)
    os_info = CharField(255, null=True)
    agent_version = CharField(64, null=True)
    borg_version = CharField(64, null=True)
    borg_install_method = CharField(16, null=True)
    borg_source = CharField(16, null=True)
    borg_binary_path = CharField(255, null=True)
    glibc_version = CharField(32, null=True)
    platform = CharField(32, null=True)
    architecture = CharField(32, null=True)
    auto_update_enabled = BooleanField(null=True)
    registered_at = UtcField(null=True)
    last_heartbeat = UtcField(null=True)
    created_at = UtcField()

    class Meta:
        table_name = "clients"


# In the order of lists.
Client.add_index(Client.index(fn.LOWER(Client.name), Client.id, name="clients_by_name"))


class Repository(Table):
    """A borg repository of one client."""

    client_id: int
    storage_location_id: int | None
    remote_ssh_config_id: int | None
    plans: ModelSelect[Plan]
    jobs: ModelSelect[Job]
    archives: ModelSelect[Archive]

    client = ForeignKeyField(Client, on_delete="CASCADE", backref="repositories")
    name = CharField(NAME_LENGTH)
    encryption = CharField(32)
    sealed_passphrase = TextField(null=True)
    sealed_config = TextField(null=True)
    storage_type = CharField(16)
    storage_location = ForeignKeyField(StorageLocation, null=True, on_delete="RESTRICT", backref="repositories")
    remote_ssh_config = ForeignKeyField(RemoteSshConfig, null=True, on_delete="RESTRICT", backref="repositories")
    path = CharField(500)
    size_bytes = BigIntegerField(default=0)
    size_is_stale = BooleanField(default=False, index=True)
    created_at = UtcField()

    class Meta:
        table_name = "repositories"
        indexes = ((("client", "path"), True),)


class DeletedRepository(Table):
    """A repository that was deleted while its data may still be there: in the trash, where it was, on another host."""

    storage_location_id: int | None

    client_id = IntegerField()
    client_name = CharField(NAME_LENGTH)
    name = CharField(NAME_LENGTH)
    encryption = CharField(32)
    sealed_passphrase = TextField(null=True)
    storage_location = ForeignKeyField(StorageLocation, null=True, on_delete="SET NULL")
    path = TextField()
    deleted_at = UtcField()

    class Meta:
        table_name = "deleted_repositories"


class Plan(Table):
    """What of a client is backed up into which repository, when, and how long it is kept."""

    client_id: int
    repository_id: int
    plugins: ModelSelect[PlanPlugin]
    jobs: ModelSelect[Job]
    archives: ModelSelect[Archive]

    client = ForeignKeyField(Client, on_delete="CASCADE", backref="plans")
    name = CharField(NAME_LENGTH)
    repository = ForeignKeyField(Repository, on_delete="RESTRICT", backref="plans")
    directories = TextField()
    excludes = TextField(null=True)
    advanced_options = TextField(null=True)
    enabled = BooleanField(default=True)
    paused = BooleanField(default=False)
    frequency = CharField(30)
    times = CharField(255, null=True)
    day_of_week = CharField(20, null=True)
    day_of_month = CharField(20, null=True)
    timezone = CharField(64)
    prune_minutes = IntegerField()
    prune_hours = IntegerField()
    prune_days = IntegerField()
    prune_weeks = IntegerField()
    prune_months = IntegerField()
    prune_years = IntegerField()
    splay_minutes = IntegerField(null=True)
    maximum_age_hours = IntegerField(null=True)
    retry_limit = IntegerField(default=3)
    next_due = UtcField(null=True)
    next_run = UtcField(null=True, index=True)
    last_run = UtcField(null=True)
    last_success = UtcField(null=True)
    created_at = UtcField()

    class Meta:
        table_name = "plans"
        indexes = ((("client", "name"), True),)


class PluginConfig(Table):
    """Named settings of one backup plugin for one client; secret values are sealed inside ``config``."""

    client_id: int
    plans: ModelSelect[PlanPlugin]

    client = ForeignKeyField(Client, on_delete="CASCADE", backref="plugin_configs")
    plugin = CharField(32)
    name = CharField(NAME_LENGTH)
    config = TextField()
    created_at = UtcField()

    class Meta:
        table_name = "plugin_configs"
        indexes = ((("client", "plugin", "name"), True),)


class PlanPlugin(Table):
    """A plugin config attached to a plan, at a place in the order of execution."""

    plan_id: int
    plugin_config_id: int

    plan = ForeignKeyField(Plan, on_delete="CASCADE", backref="plugins")
    plugin_config = ForeignKeyField(PluginConfig, on_delete="CASCADE", backref="plans")
    position = IntegerField()

    class Meta:
        table_name = "plan_plugins"
        indexes = ((("plan", "plugin_config"), True),)


class Job(Table):
    """One piece of work, for an agent or for the server itself."""

    client_id: int
    plan_id: int | None
    repository_id: int | None
    plugin_config_id: int | None
    parent_job_id: int | None
    logs: ModelSelect[JobLog]
    archives: ModelSelect[Archive]

    client = ForeignKeyField(Client, on_delete="CASCADE", backref="jobs")
    plan = ForeignKeyField(Plan, null=True, on_delete="SET NULL", backref="jobs")
    repository = ForeignKeyField(Repository, null=True, on_delete="SET NULL", backref="jobs")
    plugin_config = ForeignKeyField(PluginConfig, null=True, on_delete="SET NULL", backref="jobs")
    parent_job = ForeignKeyField("self", null=True, on_delete="SET NULL", backref="children")
    task_type = CharField(32)
    status = CharField(16)
    archive_name = CharField(255, null=True)
    files_total = BigIntegerField(null=True)
    files_processed = BigIntegerField(null=True)
    bytes_total = BigIntegerField(null=True)
    bytes_processed = BigIntegerField(null=True)
    duration_seconds = IntegerField(null=True)
    error_log = TextField(null=True)
    status_message = CharField(255, null=True)
    task_result = TextField(null=True)
    had_warnings = BooleanField(default=False)
    retry_count = IntegerField(default=0)
    attempt = IntegerField(default=0)
    stalls = IntegerField(default=0)
    lease_holder = CharField(128, null=True)
    lease_expires_at = UtcField(null=True)
    not_before = UtcField(null=True)
    restore_archive_id = IntegerField(null=True)
    restore_paths = TextField(null=True)
    restore_destination = TextField(null=True)
    restore_databases = TextField(null=True)
    task_parameters = TextField(null=True)
    due_at = UtcField(null=True)
    queued_at = UtcField()
    started_at = UtcField(null=True)
    completed_at = UtcField(null=True, index=True)
    last_progress_at = UtcField(null=True)

    class Meta:
        table_name = "jobs"
        indexes = (
            (("plan", "due_at"), True),
            (("status", "id"), False),
            (("status", "queued_at"), False),
            (("client", "queued_at"), False),
            (("client", "status"), False),
            (("repository", "status"), False),
        )


class JobLog(Table):
    """A line an agent or the server wrote about a job."""

    job_id: int

    job = ForeignKeyField(Job, on_delete="CASCADE", backref="logs")
    at = UtcField()
    level = CharField(16)
    message = TextField()

    class Meta:
        table_name = "job_logs"


class Archive(Table):
    """A borg archive that a backup made."""

    repository_id: int
    job_id: int | None
    plan_id: int | None

    repository = ForeignKeyField(Repository, on_delete="CASCADE", backref="archives")
    job = ForeignKeyField(Job, null=True, on_delete="SET NULL", backref="archives")
    plan = ForeignKeyField(Plan, null=True, on_delete="SET NULL", backref="archives")
    name = CharField(255)
    file_count = BigIntegerField(default=0)
    original_size = BigIntegerField(default=0)
    deduplicated_size = BigIntegerField(default=0)
    databases = TextField(null=True)
    catalogue = CharField(16, null=True)
    catalogue_is_waiting = BooleanField(default=False, index=True)
    created_at = UtcField()

    class Meta:
        table_name = "archives"
        indexes = ((("repository", "name"), True),)


class S3Credentials(Table):
    """The server's own S3 storage, at most one; plugin configs may name another."""

    endpoint = CharField(500)
    region = CharField(NAME_LENGTH)
    bucket = CharField(NAME_LENGTH)
    path_prefix = CharField(500)
    sealed_access_key = TextField(null=True)
    sealed_secret_key = TextField(null=True)

    class Meta:
        table_name = "s3_credentials"


class S3Link(Table):
    """The S3 storage a repository is copied to."""

    repository_id: int
    plugin_config_id: int

    repository = ForeignKeyField(Repository, unique=True, on_delete="CASCADE", backref="s3_links")
    plugin_config = ForeignKeyField(PluginConfig, on_delete="CASCADE", backref="s3_links")
    enabled = BooleanField()
    last_sync_at = UtcField(null=True)

    class Meta:
        table_name = "s3_links"


class AuditEntry(Table):
    """Who did what to which object, and from where."""

    client_id: int | None

    at = UtcField(index=True)
    level = CharField(16)
    actor = CharField(NAME_LENGTH)
    address = CharField(64, null=True)
    action = CharField(64)
    client = ForeignKeyField(Client, null=True, on_delete="SET NULL")
    message = TextField()

    class Meta:
        table_name = "audit_log"


TABLES: tuple[type[Model], ...] = (
    Setting, Lease, User, Token, FailedLogin, StorageLocation, RemoteSshConfig, Client, Repository, DeletedRepository,
    Plan, PluginConfig, PlanPlugin, Job, JobLog, Archive, S3Credentials, S3Link, AuditEntry,
)  # fmt: skip
