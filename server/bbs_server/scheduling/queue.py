# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queue: due plans become jobs, jobs are let through in order (agent-protocol.md §9)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import peewee

from bbs_server.models import Client, Job, Plan
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import clients, jobs, maintenance_mode, plan_times, tasks

logger = logging.getLogger(__name__)

UPDATE_TASKS = frozenset({"update_agent", "update_borg"})
"""Work that needs no slot."""

LONGEST_RUN = timedelta(days=1)
"""Time after which agents end a borg themselves (agent-protocol.md §9.1)."""


def queue_due_plans(run: Runtime) -> int:
    """Queue a backup for every plan whose time has come; returns how many were queued.

    The unique pair (plan, due time) makes sure that no time is queued twice, whatever number of
    workers look. A plan whose last backup is still active skips this time. In maintenance mode
    nothing is queued; what became due meanwhile runs once afterwards (agent-protocol.md §8).
    """
    if maintenance_mode.enabled():
        return 0
    due = Plan.select().where(Plan.next_run <= run.clock()).order_by(Plan.next_run, Plan.id)
    return sum(_queue_due_plan(run, plan) for plan in due)


def _queue_due_plan(run: Runtime, plan: Plan) -> bool:
    """Queue one plan's backup; one that cannot be queued is logged and does not hold up the others."""
    now = run.clock()
    try:
        with run.writing():
            following = plan_times.upcoming(run, plan, now)
            due, start = (following.due, following.start) if following else (None, None)
            same = (Plan.id == plan.id) & (Plan.next_run == plan.next_run)
            claimed = Plan.update(next_due=due, next_run=start).where(same).execute()
            if not claimed or _has_active_backup(plan) or _was_queued(plan):
                return False
            Plan.update(last_run=now).where(Plan.id == plan.id).execute()
            Job.create(
                client=plan.client_id,
                plan=plan,
                repository=plan.repository_id,
                task_type="backup",
                status=states.QUEUED,
                due_at=plan.next_due,
                queued_at=now,
            )
    except Exception:
        logger.exception("The plan %s (id %s) could not be queued; the next round tries again.", plan.name, plan.id)
        return False
    return True


def promote(run: Runtime) -> None:
    """Let queued agent jobs through, first in first out, as far as slots are free.

    A job waits while its client is not online or its repository is in use. In maintenance mode
    only updates pass (agent-protocol.md §9).
    """
    # Slots are counted under the write lock: polls come at the same time.
    with run.writing():
        for job in _ready(run):
            name = tasks.archive_name(run, job.plan) if job.task_type == "backup" and job.plan else None
            enter(run, job, states.SENT, archive_name=name)


def _ready(run: Runtime) -> list[Job]:
    """The agent jobs that may start: updates always, others as far as slots are free."""
    agent_jobs = Job.task_type.not_in(jobs.SERVER_TASKS)
    occupied = Job.select().where(Job.status.in_(states.OCCUPYING) & agent_jobs & Job.task_type.not_in(UPDATE_TASKS))
    free = 0 if maintenance_mode.enabled() else max(0, run.settings.max_queue - occupied.count())
    waiting = (
        Job.select(Job, Plan)
        .join(Client)
        .switch(Job)
        .join(Plan, peewee.JOIN.LEFT_OUTER, on=Job.plan)
        .where(
            (Job.status == states.QUEUED)
            & agent_jobs
            & (Client.last_heartbeat >= clients.online_since(run))
            & (Job.not_before.is_null() | (Job.not_before <= run.clock()))
            & _repository_is_free()
        )
        .order_by(Job.queued_at, Job.id)
    )
    updates = waiting.where(Job.task_type.in_(UPDATE_TASKS))
    others = waiting.where(Job.task_type.not_in(UPDATE_TASKS)).limit(free)
    return [*updates, *(others if free else ())]


def claim_server_job(run: Runtime) -> Job | None:
    """Take the oldest job that the server itself must do, if its repository is free."""
    now = run.clock()
    ready = (
        Job.select()
        .where((Job.status == states.QUEUED) & Job.task_type.in_(jobs.SERVER_TASKS) & _repository_is_free())
        .order_by(Job.queued_at, Job.id)
    )
    for job in ready:
        if enter(run, job, states.RUNNING, started_at=now, last_progress_at=now):
            claimed: Job = Job.get_by_id(job.id)
            return claimed
    return None


def enter(run: Runtime, job: Job, target: str, **changes: object) -> bool:
    """Move a job to another state, if that is allowed and its repository is free for it.

    :return: whether it moved: two workers, or a worker and a poll, may try at the same time.
    """
    allowed = (Job.id == job.id) & Job.status.in_(states.sources(target))
    if target in states.OCCUPYING and job.status == states.QUEUED:
        allowed &= _repository_is_free()
    with run.writing():
        moved = Job.update(status=target, **changes).where(allowed).execute()
    return bool(moved)


def fail(run: Runtime, job: Job, reason: str) -> bool:
    """End a job as failed, with a reason a person understands."""
    logger.warning("Job %s (%s) failed: %s", job.id, job.task_type, reason)
    now = run.clock()
    started = job.started_at or now
    return enter(
        run,
        job,
        states.FAILED,
        error_log=reason,
        completed_at=now,
        duration_seconds=int((now - started).total_seconds()),
    )


def fail_interrupted_jobs(run: Runtime) -> int:
    """Fail the server's own jobs that a worker left in the middle, so that their repositories are free again.

    Only for the start of the one worker: nobody else carries these jobs out. Returns how many.
    """
    interrupted = Job.select().where((Job.status == states.RUNNING) & Job.task_type.in_(jobs.SERVER_TASKS))
    return sum(fail(run, job, "The server was stopped in the middle of this job: retry it.") for job in interrupted)


def fail_lost_jobs(run: Runtime, silence: timedelta, since: datetime | None = None) -> int:
    """Fail agent jobs whose client is gone and that have been silent for too long; returns how many.

    :param since: when the server began to listen; before that nobody could be heard.
    """
    if since is not None and run.clock() - since < silence:
        return 0
    oldest = run.clock() - silence
    lost = (
        Job.select(Job, Client)
        .join(Client)
        .where(
            Job.status.in_(states.OCCUPYING)
            & Job.task_type.not_in(jobs.SERVER_TASKS)
            & (Client.last_heartbeat < oldest)
            & (Job.last_progress_at.is_null() | (Job.last_progress_at < oldest))
        )
    )
    minutes = int(silence.total_seconds() // 60)
    return sum(
        fail(run, job, f"The client {job.client.name} has not been heard of for {minutes} minutes.") for job in lost
    )


def end_cancelled_jobs(run: Runtime, silence: timedelta, since: datetime | None = None) -> None:
    """Free what cancelled jobs hold whose agent will not report any more: its client is gone, or a day has passed.

    :param since: when the server began to listen.
    """
    now = run.clock()
    gone = Job.completed_at < now - LONGEST_RUN
    if since is None or now - since >= silence:
        gone |= (Client.last_heartbeat < now - silence) & (Job.completed_at < now - silence)
    for job in Job.select(Job).join(Client).where(jobs.lingering() & gone):
        jobs.end_cancelled(run, job)


def _was_queued(plan: Plan) -> bool:
    """Whether this very time was queued before: a clock that was set back brings times again."""
    return bool(Job.select().where((Job.plan == plan) & (Job.due_at == plan.next_due)).exists())


def _has_active_backup(plan: Plan) -> bool:
    active = Job.select().where((Job.plan == plan) & (Job.task_type == "backup") & Job.status.in_(states.ACTIVE))
    return bool(active.exists())


def _repository_is_free() -> peewee.Expression:
    other = Job.alias()
    at_work = other.status.in_(states.OCCUPYING) | jobs.lingering(other)
    busy = other.select(other.id).where((other.repository == Job.repository) & at_work)
    free: peewee.Expression = ~peewee.fn.EXISTS(busy)
    return free
