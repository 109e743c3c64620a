# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance of repositories: queueing what the worker then does with borg (admin-api.md §5.3)."""

from __future__ import annotations

from bbs_server.errors import Invalid
from bbs_server.models import Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, server_jobs

ACTIONS = {
    "check": "repo_check",
    "compact": "compact",
    "repair": "repo_repair",
    "break_lock": "break_lock",
    "catalog_rebuild": "catalog_rebuild",
    "catalog_rebuild_full": "catalog_rebuild_full",
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
        job = server_jobs.request(run, repository, ACTIONS[action], refusal, details={"action": action})
        audit.record(
            run, "repository.maintenance", f'{action} of "{repository.name}" queued.', client=repository.client
        )
    return job
