# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance of repositories: queueing what the worker then does with borg (admin-api.md §5.3)."""

from __future__ import annotations

from typing import Any

from bbs_server.errors import Conflict, Invalid
from bbs_server.models import Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import audit

ACTIONS = {
    "check": "repo_check",
    "compact": "compact",
    "break_lock": "break_lock",
    "prune": "prune",
}
"""What can be asked for, and the task type that does it. ``prune`` is ours: every plan by its own rules."""


def request(run: Runtime, repository: Repository, action: str) -> Job:
    """Queue maintenance of a repository.

    :raises Invalid: no such action.
    :raises Conflict: the same is already queued or running.
    """
    if action not in ACTIONS:
        raise Invalid(f"action: must be one of {', '.join(ACTIONS)}.", valid_actions=list(ACTIONS))
    with run.writing():
        refusal = f'A {action} of "{repository.name}" is already queued or running.'
        job = queue_once(run, repository, ACTIONS[action], refusal, details={"action": action})
        audit.record(
            run, "repository.maintenance", f'{action} of "{repository.name}" queued.', client=repository.client
        )
    return job


def queue_once(
    run: Runtime,
    repository: Repository,
    task_type: str,
    refusal: str,
    *,
    details: dict[str, Any] | None = None,
    **columns: Any,
) -> Job:
    """Queue a server job unless one of its type is active on the repository; inside a transaction.

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
    job: Job = Job.create(
        client=repository.client_id,
        repository=repository,
        task_type=task_type,
        status=states.QUEUED,
        queued_at=run.clock(),
        **columns,
    )
    return job
