# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts at a job: those that fall silent are tried again, as often as the job may be (agent-protocol.md §9.1).

Silence counts, not the time a job takes: a backup may run for days as long as its agent says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import peewee

from bbs_server.clock import wire
from bbs_server.models import Client, Job
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import jobs
from bbs_server.services.plans import DEFAULTS

LONGEST_RUN = timedelta(days=1)
"""Time after which agents end a borg themselves (agent-protocol.md §9.1)."""

SILENT_ONLINE = timedelta(hours=3)
"""Silence of a job whose client is there. Its agent is asked about the job long before (``services.agents``)."""

LONGEST_DELAY = timedelta(hours=1)

REPEATABLE = jobs.SERVER_TASKS | {"backup"}
"""Task types that may be done again without asking anybody. A restore is not: a person watches it."""


def is_old(job: Job, report: Mapping[str, Any]) -> bool:
    """Whether a report is about an earlier attempt than the one that is the job's now.

    The bundled agent names the attempt. Others do not, but they get a new attempt only when they ask
    for work, so they are at none then; and the archive that a late report names tells as well.
    """
    if report.get("attempt") is not None:
        return bool(report["attempt"] != job.attempt)
    name = report.get("archive_name")
    return bool(job.attempt > 1 and name and job.archive_name and name != job.archive_name)


def give_up_silent(run: Runtime, silence: timedelta, since: datetime | None = None) -> None:
    """Give up what no agent has said a word about for too long.

    :param silence: of both the job and its client.
    :param since: when the server began to listen; before that nobody could be heard.
    """
    now = run.clock()
    if since is not None and now - since < silence:
        return
    gone = (Client.last_heartbeat < now - silence) & _silent_since(now - silence)
    stuck = (Job.status == states.RUNNING) & _silent_since(now - SILENT_ONLINE)
    silent = (
        Job.select(Job, Client)
        .join(Client)
        .where(Job.status.in_(states.OCCUPYING) & Job.task_type.not_in(jobs.SERVER_TASKS) & (gone | stuck))
    )
    for job in list(silent):
        heard = job.last_progress_at or job.started_at
        told = f"since {wire(heard)} UTC" if heard else "at all"
        reason = f"The client {job.client.name} has not been heard of about this job {told}."
        give_up(run, job, reason, only_if=_silent_since(now - silence))


def give_up_expired(run: Runtime) -> None:
    """Give up the server's own jobs whose worker has not renewed its lease; cancelled ones are over then."""
    expired = Job.lease_expires_at.is_null() | (Job.lease_expires_at <= run.clock())
    lost = Job.select().where((Job.status == states.RUNNING) & Job.task_type.in_(jobs.SERVER_TASKS) & expired)
    for job in list(lost):
        give_up(run, job, "The server was stopped in the middle of this job.", only_if=expired)
    for job in list(Job.select().where(jobs.stopping() & expired)):
        jobs.end_cancelled(run, job)


def give_up(run: Runtime, job: Job, reason: str, *, only_if: Any = None) -> bool:
    """End an attempt: the job waits for its next one, or fails when it has had all.

    A backup goes back to the queue in any case: its archive is looked for first
    (``scheduling.recognition``), also when it has had all its attempts.

    :param reason: a sentence for a person, of what happened.
    :param only_if: a condition that must still hold.
    """
    # An attempt that nobody has begun costs nothing.
    stalls = job.stalls + (job.status == states.RUNNING)
    again = job.task_type in REPEATABLE and stalls <= limit(job)
    if not again and job.task_type != "backup":
        return states.fail(run, job, exhausted(job, reason), only_if=only_if)
    with run.writing():
        moved = states.enter(
            run,
            job,
            states.QUEUED,
            only_if=only_if,
            stalls=stalls,
            error_log=reason,
            not_before=run.clock() + _delay(run, stalls),
            last_progress_at=None,
            status_message=None,
            lease_holder=None,
            lease_expires_at=None,
        )
        if moved:
            jobs.log(run, job, "warning", f"{reason} {_outlook(run, job, stalls)}")
    return moved


def limit(job: Job) -> int:
    """How often a job may fall silent and be tried again."""
    return int(job.plan.retry_limit if job.plan else DEFAULTS["retry_limit"])


def exhausted(job: Job, reason: str) -> str:
    """Why a job is not tried again."""
    if job.task_type not in REPEATABLE:
        return f"{reason} It is not tried again by itself: look what it has done, then retry it."
    tries = "once" if limit(job) == 0 else f"{limit(job) + 1} times"
    return f"{reason} It was tried {tries}, which is as often as it may be: look why, then retry it."


def end_cancelled_jobs(run: Runtime, silence: timedelta, since: datetime | None = None) -> None:
    """Give up waiting for the agents of cancelled jobs, once they cannot be at work any more.

    :param since: when the server began to listen; before that nobody could be heard.
    """
    now = run.clock()
    gone = Job.completed_at < now - LONGEST_RUN
    if since is None or now - since >= silence:
        gone |= (Client.last_heartbeat < now - silence) & (Job.completed_at < now - silence)
    for job in list(Job.select(Job).join(Client).where(jobs.lingering() & gone)):
        jobs.end_cancelled(run, job)


def _silent_since(moment: datetime) -> peewee.Expression:
    condition: peewee.Expression = Job.last_progress_at.is_null() | (Job.last_progress_at < moment)
    return condition


def _delay(run: Runtime, stalls: int) -> timedelta:
    """The pause before the next attempt, doubled each time; none when nothing was begun."""
    if not stalls:
        return timedelta()
    seconds = run.settings.retry_delay_seconds << min(stalls - 1, 20)
    return min(timedelta(seconds=seconds), LONGEST_DELAY)


def _outlook(run: Runtime, job: Job, stalls: int) -> str:
    if stalls > limit(job):
        return "The repository is searched for its archive."
    return (
        f"It is tried again not before {wire(run.clock() + _delay(run, stalls))} UTC (retry {stalls} of {limit(job)})."
    )
