# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forgetting what is old: jobs with their logs, and the audit log.

In small transactions, so that nobody waits for a lock longer than one of them takes.
"""

from __future__ import annotations

from datetime import timedelta

import peewee
from peewee import fn

from bbs_server.models import AuditEntry, Job, Table
from bbs_server.runtime import Runtime

BATCH = 200
"""Rows that one transaction removes."""

MOST_BATCHES = 50
"""Batches of one round; the next round goes on."""

_CAUSES = timedelta(days=14)
"""Deletions of archives are kept at least this long: the weekly compaction looks for them."""


def forget(run: Runtime) -> int:
    """Remove ended jobs and entries of the audit log that are older than the settings say; returns how many.

    The latest backup of each plan stays, however old it is: it tells how the plan last went.
    """
    return _in_batches(run, _old_jobs(run)) + _in_batches(run, _old_entries(run))


def _old_jobs(run: Runtime) -> peewee.ModelSelect[Job] | None:
    days = run.settings.job_retention_days
    if not days:
        return None
    latest = Job.select(fn.MAX(Job.id)).where((Job.task_type == "backup") & Job.plan.is_null(False)).group_by(Job.plan)
    now = run.clock()
    cause = (Job.task_type == "archive_delete") & (Job.completed_at >= now - _CAUSES)
    old = (Job.completed_at < now - timedelta(days=days)) & Job.id.not_in(latest) & ~cause
    return Job.select(Job.id).where(old)


def _old_entries(run: Runtime) -> peewee.ModelSelect[AuditEntry] | None:
    days = run.settings.log_retention_days
    return AuditEntry.select(AuditEntry.id).where(AuditEntry.at < run.clock() - timedelta(days=days)) if days else None


def _in_batches(run: Runtime, old: peewee.ModelSelect[Job] | peewee.ModelSelect[AuditEntry] | None) -> int:
    if old is None:
        return 0
    table: type[Table] = old.model
    removed = 0
    for _ in range(MOST_BATCHES):
        ids = [row.id for row in old.limit(BATCH)]
        if ids:
            with run.writing():
                removed += table.delete().where(table.id.in_(ids)).execute()
        if len(ids) < BATCH:
            break
    return removed
