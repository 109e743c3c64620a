# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs the server does itself on repositories: prune, break-lock (agent-protocol.md §12)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from bbs_server.borg.command import BorgError
from bbs_server.models import Archive, Job, Plan, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import queue, states
from bbs_server.services import jobs, repositories, storage

logger = logging.getLogger(__name__)

LOCK_WAIT = "--lock-wait=600"

_KEEP = {
    "prune_minutes": "--keep-minutely",
    "prune_hours": "--keep-hourly",
    "prune_days": "--keep-daily",
    "prune_weeks": "--keep-weekly",
    "prune_months": "--keep-monthly",
    "prune_years": "--keep-yearly",
}


def do_all(run: Runtime) -> int:
    """Do every job that waits for the server; returns how many were done."""
    done = 0
    while (job := queue.claim_server_job(run)) is not None:
        _do(run, job)
        done += 1
    return done


def _do(run: Runtime, job: Job) -> None:
    action = _ACTIONS.get(job.task_type)
    if action is None or job.repository is None:
        queue.fail(run, job, "The repository was deleted, or this server does not know the task.")
        return
    try:
        output = action(run, job, job.repository)
    except BorgError as error:
        queue.fail(run, job, str(error))
        return
    now = run.clock()
    Repository.update(size_is_stale=True).where(Repository.id == job.repository_id).execute()
    if output:
        jobs.log(run, job, "info", output)
    queue.enter(
        run,
        job,
        states.COMPLETED,
        completed_at=now,
        duration_seconds=int((now - job.started_at).total_seconds()),
    )


def _prune(run: Runtime, job: Job, repository: Repository) -> str:
    """Thin out the archives of one plan, and of that plan only."""
    plan: Plan | None = job.plan
    if plan is None or not jobs.retains(plan):
        return "The plan keeps everything: nothing to prune."
    keep = [f"{option}={getattr(plan, field)}" for field, option in _KEEP.items() if getattr(plan, field)]
    scope = f"--glob-archives=plan{plan.id}-*"
    _borg(run, repository, "prune", LOCK_WAIT, scope, *keep)
    return f"{_forget_archives(run, repository)} archives were pruned."


def _break_lock(run: Runtime, job: Job, repository: Repository) -> str:
    _borg(run, repository, "break-lock")
    return "Locks left behind were removed."


def _compact(run: Runtime, job: Job, repository: Repository) -> str:
    _borg(run, repository, "compact", LOCK_WAIT)
    return "Unused space was freed."


def _forget_archives(run: Runtime, repository: Repository) -> int:
    """Remove the records of archives that borg does not list any more; returns how many."""
    listing = json.loads(_borg(run, repository, "list", "--json", LOCK_WAIT))
    existing = {archive["name"] for archive in listing["archives"]}
    gone = [archive.id for archive in repository.archives if archive.name not in existing]
    return int(Archive.delete().where(Archive.id.in_(gone)).execute()) if gone else 0


def _borg(run: Runtime, repository: Repository, command: str, *options: str) -> str:
    directory = storage.repository_directory(repository)
    secret = repositories.passphrase(run, repository)
    return run.borg.run([command, *options, str(directory)], secret)


_ACTIONS: dict[str, Callable[[Runtime, Job, Repository], str]] = {
    "prune": _prune,
    "break_lock": _break_lock,
    "compact": _compact,
}
