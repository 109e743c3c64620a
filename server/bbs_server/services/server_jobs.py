# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queueing the work that the server does itself on repositories (agent-protocol.md §12)."""

from __future__ import annotations

from typing import Any

from bbs_server.errors import Conflict
from bbs_server.models import Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states


def request(
    run: Runtime,
    repository: Repository,
    task_type: str,
    refusal: str,
    *,
    details: dict[str, Any] | None = None,
    **columns: Any,
) -> Job:
    """Queue what a person asks for, unless it is active on the repository; inside a transaction.

    :param refusal: the sentence when there is one.
    :param details: further keys of the refusal.
    :param columns: what the job needs to know.
    :raises Conflict: with the status ``already_queued`` and the job's id.
    """
    active: Job | None = repository.jobs.where((Job.task_type == task_type) & Job.status.in_(states.ACTIVE)).first()
    if active is not None:
        conflict = Conflict(refusal, status="already_queued", job_id=active.id, **(details or {}))
        conflict.details["message"] = refusal
        raise conflict
    return _queue(run, task_type, client=repository.client_id, repository=repository, **columns)


def follow_up(run: Runtime, cause: Job, task_type: str) -> None:
    """Queue what follows from a job, unless the same is waiting; inside a transaction.

    One that is at work already does not count: it may have begun before the cause ended.
    """
    same_plan = Job.plan == cause.plan_id if cause.plan_id else Job.plan.is_null()
    same = (Job.repository == cause.repository_id) & same_plan & (Job.task_type == task_type)
    if not Job.select().where(same & (Job.status == states.QUEUED)).exists():
        columns = {"client": cause.client_id, "plan": cause.plan_id, "repository": cause.repository_id}
        _queue(run, task_type, parent_job=cause, **columns)


def _queue(run: Runtime, task_type: str, **columns: Any) -> Job:
    job: Job = Job.create(task_type=task_type, status=states.QUEUED, queued_at=run.clock(), **columns)
    return job
