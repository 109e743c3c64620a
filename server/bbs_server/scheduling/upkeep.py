# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker does now and then without being asked (agent-protocol.md §12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import peewee

from bbs_server.models import Job, Repository, Setting
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import jobs

_COMPACTIONS = "compactions_queued"
_SATURDAY, _HOUR = 5, 2


def queue_compactions(run: Runtime) -> int:
    """Queue, once a week, the compaction of local repositories from which archives were deleted.

    A prune frees its space itself. A Saturday that was missed is made up for by the next round.
    Returns how many were queued.
    """
    saturday = _latest_saturday(run.clock())
    noted: Setting | None = Setting.get_or_none(Setting.name == _COMPACTIONS)
    if noted is not None and datetime.fromisoformat(noted.value) >= saturday:
        return 0
    with run.writing():
        causes = _deletions_to_follow()
        for cause in causes:
            jobs.queue_server_task(run, cause, "compact")
        value = saturday.isoformat()
        told = Setting.insert(name=_COMPACTIONS, value=value)
        told.on_conflict(conflict_target=[Setting.name], update={Setting.value: value}).execute()
    return len(causes)


def _latest_saturday(now: datetime) -> datetime:
    """The latest Saturday, 02:00 UTC, that is not in the future."""
    today = now.astimezone(UTC).replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    found = today - timedelta(days=(today.weekday() - _SATURDAY) % 7)
    return found if found <= now else found - timedelta(days=7)


def _deletions_to_follow() -> list[Job]:
    """The latest deletion in each local repository that no compaction has followed, and none is about to."""
    later = Job.alias()
    freed = later.select(later.id).where(
        (later.repository == Job.repository)
        & (
            ((later.task_type == "compact") & later.status.in_(states.ACTIVE))
            | (
                later.task_type.in_(("compact", "prune"))
                & (later.status == states.COMPLETED)
                & (later.started_at >= Job.completed_at)
            )
        )
    )
    deletions = (
        Job.select(Job)
        .join(Repository)
        .where(
            (Repository.storage_type == "local")
            & (Job.task_type == "archive_delete")
            & (Job.status == states.COMPLETED)
            & ~peewee.fn.EXISTS(freed)
        )
        .order_by(Job.id)
    )
    return list({job.repository_id: job for job in deletions}.values())
