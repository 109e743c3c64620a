# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker: a process that queues due plans, lets jobs through and does the server's own work.

There may be several, on several machines, with one database: one of them makes the schedule's rounds,
another maybe keeps house, and all share the server's own jobs. Which one does what is a matter of
leases (``scheduling.leases``).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial

from bbs_server.models import Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import attempts, housekeeping, leases, presence, queue, recognition, upkeep
from bbs_server.server_tasks import runner
from bbs_server.services import catalogues, health, recovery, repositories, repository_keys, trash
from bbs_server.settings import Settings

logger = logging.getLogger(__name__)

LOST_AFTER = timedelta(minutes=5)
"""Silence of a client and its job before the attempt counts as lost (agent-protocol.md §9.1)."""

RENEWALS = 4
"""How often a lease is renewed before it would end."""

Step = Callable[[Runtime], object]
Loop = Callable[[], None]


def run_until_told(settings: Settings) -> None:
    """Be the worker in this process until SIGTERM or SIGINT.

    :raises RuntimeError: see :func:`work`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with closing(Runtime.open(settings)) as run:
        work(run, stop)


def work(run: Runtime, stop: threading.Event) -> None:
    """Make rounds until told to stop: schedule, upkeep, and the server's own jobs, each in threads of its own.

    A check or a prune takes as long as it takes; no plan waits for it.

    :raises RuntimeError: a loop ended by itself; the others were stopped, whoever started the worker restarts it.
    """
    who = leases.holder(run)
    logger.info("Worker %s started: a round every %s s.", who, run.settings.worker_interval)
    with presence.shown(run, who):
        with run.database.connection_context():
            recovery.recover(run)
        _make_rounds(run, stop, who)
    logger.info("Worker %s stopped.", who)


def _make_rounds(run: Runtime, stop: threading.Event, who: str) -> None:
    rounds = partial(_repeat, run, stop, run.settings.worker_interval)
    scheduling = (*SCHEDULING, *_giving_up(run.clock()))
    ended = threading.Event()
    renewing = threading.Thread(target=_keep_leases, args=(run, ended, who), name="leases")
    renewing.start()
    try:
        _together(
            stop,
            partial(rounds, (presence.inherit, partial(_lead, leases.SCHEDULING, who, scheduling))),
            partial(rounds, (partial(_lead, leases.UPKEEP, who, UPKEEP),)),
            *(partial(rounds, (partial(_do_jobs, who, stop),)) for _ in range(max(1, run.settings.server_jobs))),
        )
    finally:
        ended.set()
        renewing.join()
        with run.database.connection_context():
            leases.release(run, who)


def round_once(run: Runtime) -> None:
    """One round of everything, in an order that lets a plan that is due now start now."""
    jobs_of_server = partial(_do_jobs, leases.holder(run), threading.Event())
    _do(run, (*SCHEDULING, *_giving_up(since=None), *UPKEEP, jobs_of_server, *AFTERWARDS))


def _lead(name: str, who: str, steps: tuple[Step, ...], run: Runtime) -> None:
    """Take steps that only one worker takes, if this is the one."""
    if leases.take(run, name, who):
        _do(run, steps)


def _do_jobs(who: str, stop: threading.Event, run: Runtime) -> None:
    """Do the server's own jobs as long as there are any."""
    while not stop.is_set() and runner.do_next(run, who):
        pass


def _together(stop: threading.Event, *loops: Loop) -> None:
    """Run loops until all end. Half a worker looks healthy from outside: if one breaks, all end."""
    broken: list[BaseException] = []

    def guarded(loop: Loop) -> None:
        try:
            loop()
        except BaseException as error:
            logger.exception("A loop of the worker broke; the worker ends.")
            broken.append(error)
        finally:
            stop.set()

    threads = [threading.Thread(target=guarded, args=(loop,)) for loop in loops[1:]]
    for thread in threads:
        thread.start()
    guarded(loops[0])
    for thread in threads:
        thread.join()
    if broken:
        raise RuntimeError("A loop of the worker broke.") from broken[0]


def _keep_leases(run: Runtime, ended: threading.Event, who: str) -> None:
    """Say that this worker lives, also while it ends and waits for its borg."""
    renew: Step = partial(leases.renew, who=who)
    _repeat(run, ended, max(0.2, run.settings.lease_seconds / RENEWALS), (renew,))


def _giving_up(since: datetime | None) -> tuple[Step, ...]:
    return (
        attempts.give_up_expired,
        partial(attempts.give_up_silent, silence=LOST_AFTER, since=since),
        partial(attempts.end_cancelled_jobs, silence=LOST_AFTER, since=since),
    )


def _repeat(run: Runtime, stop: threading.Event, seconds: float, steps: tuple[Step, ...]) -> None:
    while not stop.is_set():
        try:
            with run.database.connection_context():
                _do(run, steps)
        except Exception:
            logger.exception("The worker could not reach its database; the next round tries again.")
        run.wait(stop, seconds)


def _do(run: Runtime, steps: tuple[Step, ...]) -> None:
    """Take the steps. One that fails is logged and does not stop the others."""
    for step in steps:
        try:
            step(run)
        except Exception:
            logger.exception("A step of the worker failed; the next round tries again.")


def _measure_repositories(run: Runtime) -> None:
    stale = Repository.select().where(Repository.size_is_stale & (Repository.storage_type == "local"))
    for repository in list(stale):
        repository_keys.note(run, repository)
        repositories.measure(repository)


SCHEDULING: tuple[Step, ...] = (
    health.note_round, queue.queue_due_plans, upkeep.queue_compactions, upkeep.queue_deferred_hooks, queue.promote,
)  # fmt: skip
"""Quick steps that plans wait for."""

AFTERWARDS: tuple[Step, ...] = (_measure_repositories,)
"""What jobs leave to do."""

UPKEEP: tuple[Step, ...] = (
    recognition.search, catalogues.receive_all, *AFTERWARDS, upkeep.remove_orphaned_catalogues, upkeep.recover,
    trash.empty, housekeeping.forget,
)  # fmt: skip
"""Steps that may take a while."""
