# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the backups of a client go (admin-api.md §5.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from peewee import Case, fn

from bbs_server.clock import wire
from bbs_server.models import Client, Job, Plan
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states

SAMPLE = 20
"""Completed backups whose mean duration is told."""

RATED = timedelta(days=30)
"""The time over which successes are counted."""

_WEEK = timedelta(days=7)


def of(run: Runtime, client: Client) -> dict[str, Any]:
    """The next backup, how long backups take, how many succeed, and how much went wrong lately."""
    due = client.plans.where(Plan.next_run.is_null(False)).order_by(Plan.next_run, Plan.id).first()
    durations = _durations(client)
    return {
        "next_backup": {"at": wire(due.next_run), "plan_name": due.name} if due else None,
        "avg_duration_seconds": round(sum(durations) / len(durations)) if durations else None,
        "sample_size": len(durations),
        "success_rate": _success_rate(run, client),
        "errors_7d": client.jobs.where(
            (Job.status == states.FAILED) & (Job.completed_at >= run.clock() - _WEEK)
        ).count(),
    }


def _durations(client: Client) -> list[int]:
    rows = (
        client.jobs.where(
            (Job.task_type == "backup") & (Job.status == states.COMPLETED) & Job.duration_seconds.is_null(False)
        )
        .order_by(Job.id.desc())
        .limit(SAMPLE)
    )
    return [row.duration_seconds for row in rows if row.duration_seconds is not None]


def _success_rate(run: Runtime, client: Client) -> dict[str, int]:
    row: Any = (
        Job.select(
            fn.COUNT(Job.id).alias("total"),
            fn.COUNT(Case(None, ((Job.status == states.COMPLETED, 1),), None)).alias("succeeded"),
        )
        .where(
            (Job.client == client)
            & (Job.task_type == "backup")
            & Job.status.in_((states.COMPLETED, states.FAILED))
            & (Job.completed_at >= run.clock() - RATED)
        )
        .dicts()
        .get()
    )
    return {"succeeded": int(row["succeeded"]), "total": int(row["total"])}
