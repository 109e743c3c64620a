# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leases, attempts, and what a plan says about spreading, retries and the age of its backups.

These models are frozen copies: they say what the schema was, whatever the application's models
become.
"""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CharField, Database, DateTimeField, IntegerField, Model, fn


class Lease(Model):
    name = CharField(primary_key=True, max_length=64)
    holder = CharField(max_length=128)
    expires_at = DateTimeField()

    class Meta:
        table_name = "leases"


class Plan(Model):
    id = AutoField()
    next_run = DateTimeField(null=True)
    next_due = DateTimeField(null=True)
    last_success = DateTimeField(null=True)

    class Meta:
        table_name = "plans"


class Job(Model):
    plan_id = IntegerField(null=True)
    task_type = CharField()
    status = CharField()
    attempt = IntegerField()
    completed_at = DateTimeField(null=True)

    class Meta:
        table_name = "jobs"


PLAN_COLUMNS = {
    "splay_minutes": IntegerField(null=True),
    "maximum_age_hours": IntegerField(null=True),
    "retry_limit": IntegerField(default=3),
    "next_due": DateTimeField(null=True),
    "last_success": DateTimeField(null=True),
}
JOB_COLUMNS = {
    "attempt": IntegerField(default=0),
    "stalls": IntegerField(default=0),
    "lease_holder": CharField(null=True, max_length=128),
    "lease_expires_at": DateTimeField(null=True),
}


def up(migrator: Any, database: Database) -> None:
    """Add the table, the columns and indexes, and fill in what is known of the past."""
    migrator.migrate(
        *(migrator.add_column("plans", name, field) for name, field in PLAN_COLUMNS.items()),
        *(migrator.add_column("jobs", name, field) for name, field in JOB_COLUMNS.items()),
        migrator.add_index("jobs", ("status", "queued_at")),
        migrator.add_index("jobs", ("client_id", "status")),
        migrator.add_index("jobs", ("completed_at",)),
    )
    with database.bind_ctx((Lease, Plan, Job)):
        database.create_tables((Lease,))
        good = (Job.plan_id == Plan.id) & (Job.task_type == "backup") & (Job.status == "completed")
        latest = Job.select(fn.MAX(Job.completed_at)).where(good)
        Plan.update(next_due=Plan.next_run, last_success=latest).execute()
        Job.update(attempt=1).where(Job.status != "queued").execute()
