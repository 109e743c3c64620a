# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job states and the only ways between them (agent-protocol.md §9).

Nothing else writes a job's state: what the table does not know is refused here, and logged.
"""

from __future__ import annotations

import logging
from typing import Any

import peewee

from bbs_server.models import Job
from bbs_server.runtime import Runtime

logger = logging.getLogger(__name__)

QUEUED, SENT, RUNNING = "queued", "sent", "running"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"

ACTIVE = (QUEUED, SENT, RUNNING)
"""Not yet ended."""

OCCUPYING = (SENT, RUNNING)
"""Holding a slot and the repository."""

ALL = (*ACTIVE, COMPLETED, FAILED, CANCELLED)

TRANSITIONS: dict[str, frozenset[str]] = {
    QUEUED: frozenset({SENT, RUNNING, COMPLETED, FAILED, CANCELLED}),
    SENT: frozenset({QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED}),
    RUNNING: frozenset({QUEUED, COMPLETED, FAILED, CANCELLED}),
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
"""From each state, the states that may follow. Server-side jobs skip ``sent``; an attempt that fell silent goes back to
``queued``, and what was not heard of in time may turn out to be running or completed there."""


def sources(target: str) -> list[str]:
    """The states from which ``target`` may be entered."""
    return [state for state, targets in TRANSITIONS.items() if target in targets]


def enter(run: Runtime, job: Job, target: str, *, only_if: Any = None, **changes: Any) -> bool:
    """Move a job to another state; refused and logged when the table does not allow it.

    Refused as well when another attempt than the given job's has begun meanwhile: what was found
    out about an old attempt never overwrites a newer one.

    :param only_if: a further condition that must hold in the same moment.
    :param changes: columns that change with the state.
    :return: whether it moved: two workers, or a worker and a poll, may try at the same time.
    """
    allowed = (Job.id == job.id) & (Job.attempt == job.attempt) & Job.status.in_(sources(target))
    if only_if is not None:
        allowed &= only_if
    with run.writing():
        moved = Job.update(status=target, **changes).where(allowed).execute()
        if not moved:
            _tell_refused(job, target)
    return bool(moved)


def enter_first(run: Runtime, candidates: peewee.ModelSelect[Job], target: str, **changes: Any) -> Job | None:
    """Move the first of the candidates to another state, in one statement; the job as it then is.

    Whoever else wants it at the same time goes away empty-handed.
    """
    with run.writing():
        first = candidates.select(Job.id).limit(1)
        claim = Job.update(status=target, **changes).where(Job.id.in_(first) & Job.status.in_(sources(target)))
        moved = list(claim.returning(Job).execute())
        return moved[0] if moved else None


def end(run: Runtime, job: Job, target: str, **changes: Any) -> bool:
    """End a job, with the time it took."""
    now = run.clock()
    seconds = int((now - (job.started_at or now)).total_seconds())
    ended = {"completed_at": now, "duration_seconds": seconds, "status_message": None, "lease_expires_at": None}
    return enter(run, job, target, **(ended | changes))


def fail(run: Runtime, job: Job, reason: str, *, only_if: Any = None) -> bool:
    """End a job as failed, with a reason a person understands; returns whether it did."""
    failed = end(run, job, FAILED, error_log=reason, only_if=only_if)
    if failed:
        logger.warning("Job %s (%s) failed: %s", job.id, job.task_type, reason)
    return failed


def _tell_refused(job: Job, target: str) -> None:
    current: Job | None = Job.get_or_none(Job.id == job.id)
    if current is None:
        logger.warning("Job %s cannot become %s: it was deleted.", job.id, target)
    elif current.attempt != job.attempt:
        logger.warning("Job %s: attempt %s is over, attempt %s has begun.", job.id, job.attempt, current.attempt)
    elif target not in TRANSITIONS[current.status]:
        logger.warning("Job %s (%s) is %s and cannot become %s.", job.id, job.task_type, current.status, target)
