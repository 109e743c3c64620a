# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queue: due plans become jobs, jobs are let through in order (agent-protocol.md §9).

Three classes of work pass each other by, first in first out within each: what agents do, what the
server does itself, and updates of agents.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Set
from typing import Any

import peewee

from bbs_server.db.statements import Statement, slot
from bbs_server.models import Client, Job, Plan, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import leases, recognition, states
from bbs_server.services import clients, jobs, maintenance_mode, plan_times, tasks

logger = logging.getLogger(__name__)

UPDATE_TASKS = frozenset({"update_agent", "update_borg"})
"""Work that needs no slot."""

_PLANS_AT_ONCE = 20
"""Plans queued in one transaction, which takes milliseconds: for so long nobody else writes."""

_PAUSE_SECONDS = 0.01
"""Time between two such transactions in which the others get their turn: every poll writes a heartbeat."""

_ARM = Statement(
    lambda: Plan.update(next_due=slot("due"), next_run=slot("start"), last_run=slot("last_run")).where(
        Plan.id == slot("plan")
    )
)
_QUEUE = Statement(
    lambda: Job.insert(
        client=slot("client"),
        plan=slot("plan"),
        repository=slot("repository"),
        task_type="backup",
        status=states.QUEUED,
        due_at=slot("due"),
        queued_at=slot("now"),
    )
)
_IN_THE_WAY = Statement(
    lambda: (
        Job.select(Job.id)
        .where(
            (Job.plan == slot("plan"))
            & (((Job.task_type == "backup") & Job.status.in_(states.ACTIVE)) | (Job.due_at == slot("due")))
        )
        .limit(1)
        .tuples()
    )
)

Location = tuple[int | None, int | None]
"""Where a repository lies: the id of a storage location, or of a remote SSH configuration."""


def queue_due_plans(run: Runtime) -> int:
    """Queue a backup for every plan whose time has come; returns how many were queued.

    The unique pair (plan, due time) makes sure that no time is queued twice, whatever number of
    workers look. A plan whose last backup is still active skips this time. In maintenance mode
    nothing is queued; what became due meanwhile runs once afterwards (agent-protocol.md §8).
    """
    if maintenance_mode.enabled():
        return 0
    due = Plan.next_run <= run.clock()
    ids = [plan.id for plan in Plan.select(Plan.id).where(due).order_by(Plan.next_run, Plan.id)]
    queued = 0
    for start in range(0, len(ids), _PLANS_AT_ONCE):
        if start:
            run.wait(threading.Event(), _PAUSE_SECONDS)
        queued += _queue_some(run, due & Plan.id.in_(ids[start : start + _PLANS_AT_ONCE]))
    return queued


def _queue_some(run: Runtime, which: peewee.Expression) -> int:
    """Queue plans in one transaction, as each waits for the disk; one that fails is undone alone."""
    with run.writing():
        plans = list(Plan.select().where(which).order_by(Plan.next_run, Plan.id))
        return sum(_queue_due_plan(run, plan) for plan in plans)


def _queue_due_plan(run: Runtime, plan: Plan) -> bool:
    """Queue one plan's backup; one that cannot be queued is logged and does not hold up the others."""
    now = run.clock()
    try:
        with run.writing():
            following = plan_times.upcoming(run, plan, now)
            skipped = _is_in_the_way(plan)
            _ARM.execute(
                plan=plan.id,
                due=following and following.due,
                start=following and following.start,
                last_run=plan.last_run if skipped else now,
            )
            if skipped:
                return False
            _QUEUE.execute(
                client=plan.client_id, plan=plan.id, repository=plan.repository_id, due=plan.next_due, now=now
            )
    except Exception:
        logger.exception("The plan %s (id %s) could not be queued; the next round tries again.", plan.name, plan.id)
        return False
    return True


def promote(run: Runtime, polling: Client | None = None) -> None:
    """Let queued agent jobs through, first in first out, as far as slots are free.

    A job waits while its client is not online or its repository is in use. In maintenance mode
    only updates pass (agent-protocol.md §9).

    :param polling: the client that asks for work just now. Only such a client gets a job that it was
        given before: it asks, so it is not at work on the earlier attempt.
    """
    # Slots are counted under the write lock: polls come at the same time.
    with run.writing():
        for job in _ready_updates(run, polling):
            _send(run, job)
        # Those that are let through may be in the way of others that looked ready: look again for the slots left.
        while sum(_send(run, job) for job in _ready_others(run, polling)):
            pass


def promote_for(run: Runtime, polling: Client, kinds: Set[str]) -> bool:
    """The same for a client that asks for work, if a look without the lock says that something may get through.

    While a long queue waits for few slots, all of its clients ask again and again.

    :param kinds: the tasks of its queued jobs.
    :return: whether it was worth a look.
    """
    worth = not kinds.isdisjoint(UPDATE_TASKS) or _free(run) > 0
    if worth:
        promote(run, polling)
    return worth


def _send(run: Runtime, job: Job) -> bool:
    """Begin a job's next attempt: its client is told of it with its next poll."""
    name = tasks.archive_name(run, job.plan) if job.task_type == "backup" and job.plan else None
    begun = {"attempt": Job.attempt + 1, "archive_name": name, "started_at": None, "error_log": None}
    return states.enter(run, job, states.SENT, only_if=_repository_is_free(), **begun)


def claim_server_job(run: Runtime, holder: str) -> Job | None:
    """Take the oldest job that the server itself must do, whose repository is free, for a worker.

    :param holder: the worker; the job is its own as long as it renews its lease.
    """
    now = run.clock()
    at_work = Job.task_type.in_(jobs.SERVER_TASKS)
    with run.writing():
        ready = (
            Job.select(Job.id)
            .join(Repository, peewee.JOIN.LEFT_OUTER, on=Job.repository)
            .where((Job.status == states.QUEUED) & at_work & _may_start(run) & _location_is_free(run, at_work))
            .order_by(Job.queued_at, Job.id)
        )
        return states.enter_first(
            run,
            ready,
            states.RUNNING,
            attempt=Job.attempt + 1,
            started_at=now,
            last_progress_at=now,
            error_log=None,
            **leases.for_job(run, holder),
        )


def _ready_updates(run: Runtime, polling: Client | None) -> list[Job]:
    """Updates that may start; where a client asks for work, its own: no other's has to be looked for."""
    updates = _waiting(run, polling).where(Job.task_type.in_(UPDATE_TASKS))
    return list(updates if polling is None else updates.where(Job.client == polling))


def _ready_others(run: Runtime, polling: Client | None) -> list[Job]:
    """The agent jobs that may start, as far as slots are free on the server and in each storage location."""
    free = _free(run)
    if free <= 0 or maintenance_mode.enabled():
        return []
    at_work = _is_agent_work()
    waiting = _waiting(run, polling).where(at_work & _location_is_free(run, at_work)).limit(free)
    taken, chosen = _by_location(at_work), []
    for job in waiting:
        place = _location(job.repository)
        if place is None or not _is_full(run, taken[place]):
            chosen.append(job)
            taken[place] += 1
    return chosen


def _waiting(run: Runtime, polling: Client | None) -> peewee.ModelSelect[Job]:
    """Agent jobs that could start now if there were slots, oldest first."""
    first_attempt = Job.attempt == 0
    return (
        Job.select(Job, Plan, Repository)
        .join(Client)
        .switch(Job)
        .join(Plan, peewee.JOIN.LEFT_OUTER, on=Job.plan)
        .switch(Job)
        .join(Repository, peewee.JOIN.LEFT_OUTER, on=Job.repository)
        .where(
            (Job.status == states.QUEUED)
            & Job.task_type.not_in(jobs.SERVER_TASKS)
            & (Client.last_heartbeat >= clients.online_since(run))
            & _may_start(run)
            & ~recognition.awaits_search()
            & (first_attempt if polling is None else (first_attempt | (Job.client == polling)))
        )
        .order_by(Job.queued_at, Job.id)
    )


def _free(run: Runtime) -> int:
    """Slots not in use. A client that is offline keeps none: whether its job goes on is not known."""
    [(occupied,)] = _OCCUPIED.raw(since=clients.online_since(run))
    return run.settings.max_queue - int(occupied)


def _is_agent_work() -> Any:
    return Job.task_type.not_in(jobs.SERVER_TASKS | UPDATE_TASKS)


_OCCUPIED = Statement(
    lambda: (
        Job.select(peewee.fn.COUNT(Job.id))
        .join(Client)
        .where(Job.status.in_(states.OCCUPYING) & _is_agent_work() & (Client.last_heartbeat >= slot("since")))
        .tuples()
    )
)


def _may_start(run: Runtime) -> Any:
    return _repository_is_free() & (Job.not_before.is_null() | (Job.not_before <= run.clock()))


def _by_location(at_work: Any) -> Counter[Location | None]:
    """How many jobs of a class are at work in each place."""
    places = (Repository.storage_location, Repository.remote_ssh_config)
    rows: Any = (
        Job.select(*places, peewee.fn.COUNT(Job.id))
        .join(Repository)
        .where(Job.status.in_(states.OCCUPYING) & at_work)
        .group_by(*places)
        .tuples()
    )
    return Counter({(location, remote): count for location, remote, count in rows})


def _location_is_free(run: Runtime, at_work: Any) -> Any:
    """The condition for jobs whose repository lies where there is room for one more of their class."""
    full = [place for place, count in _by_location(at_work).items() if _is_full(run, count)]
    locations = [location for place in full if place and (location := place[0]) is not None]
    remotes = [remote for place in full if place and (remote := place[1]) is not None]
    here = Repository.storage_location.is_null() | Repository.storage_location.not_in(locations)
    there = Repository.remote_ssh_config.is_null() | Repository.remote_ssh_config.not_in(remotes)
    return here & there


def _is_full(run: Runtime, count: int) -> bool:
    return 0 < run.settings.max_queue_per_location <= count


def _location(repository: Repository | None) -> Location | None:
    return (repository.storage_location_id, repository.remote_ssh_config_id) if repository else None


def _is_in_the_way(plan: Plan) -> bool:
    """Whether a backup of a plan is active, or this very time was queued before.

    A clock that was set back brings times again, and so does another splay.
    """
    return bool(_IN_THE_WAY.raw(plan=plan.id, due=plan.next_due))


def _repository_is_free() -> peewee.Expression:
    other = Job.alias()
    at_work = other.status.in_(states.OCCUPYING) | jobs.lingering(other) | jobs.stopping(other)
    busy = other.select(other.id).where((other.repository == Job.repository) & at_work)
    free: peewee.Expression = ~peewee.fn.EXISTS(busy)
    return free
