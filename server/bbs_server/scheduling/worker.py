# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker: one process that queues due plans, lets jobs through and does the server's own work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from bbs_server.models import Repository
from bbs_server.pid_file import PidFile
from bbs_server.runtime import Runtime
from bbs_server.scheduling import maintenance, queue, upkeep
from bbs_server.services import health, repositories, trash

logger = logging.getLogger(__name__)

LOST_AFTER = timedelta(minutes=5)
"""Silence of a client and its job before the job counts as lost (agent-protocol.md §9.1)."""


Step = Callable[[Runtime], object]


def work(run: Runtime, stop: threading.Event) -> None:
    """Make rounds until told to stop: scheduling in one thread, the server's own jobs in another.

    A check or a prune takes as long as it takes; no plan waits for it.

    :raises AlreadyRunning: another worker runs for this server.
    :raises RuntimeError: one of the two ended by itself; the other was stopped, whoever started the worker restarts it.
    """
    with PidFile(run.settings.run_directory / "worker.pid", "The worker").holding():
        logger.info("Worker started: a round every %s s.", run.settings.worker_interval)
        with run.database.connection_context():
            queue.fail_interrupted_jobs(run)
        _both(
            stop,
            partial(_repeat, run, stop, UPKEEP),
            partial(_repeat, run, stop, (*SCHEDULING, *_giving_up(since=run.clock()))),
        )
        logger.info("Worker stopped.")


def round_once(run: Runtime) -> None:
    """One round of everything, in an order that lets a plan that is due now start now."""
    _do(run, (*SCHEDULING, *_giving_up(since=None), *UPKEEP))


def _both(stop: threading.Event, beside: Callable[[], None], here: Callable[[], None]) -> None:
    """Run two loops until both end. Half a worker looks healthy from outside: if one breaks, both end."""
    broken: list[BaseException] = []

    def guarded(loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            logger.exception("A loop of the worker broke; the worker ends.")
            broken.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=guarded, args=(beside,), name="upkeep")
    thread.start()
    guarded(here)
    thread.join()
    if broken:
        raise RuntimeError("A loop of the worker broke.") from broken[0]


def _giving_up(since: datetime | None) -> tuple[Step, ...]:
    return (
        partial(queue.fail_lost_jobs, silence=LOST_AFTER, since=since),
        partial(queue.end_cancelled_jobs, silence=LOST_AFTER, since=since),
    )


def _repeat(run: Runtime, stop: threading.Event, steps: tuple[Step, ...]) -> None:
    while not stop.is_set():
        try:
            with run.database.connection_context():
                _do(run, steps)
        except Exception:
            logger.exception("The worker could not reach its database; the next round tries again.")
        stop.wait(run.settings.worker_interval)


def _do(run: Runtime, steps: tuple[Step, ...]) -> None:
    """Take the steps. One that fails is logged and does not stop the others."""
    for step in steps:
        try:
            step(run)
        except Exception:
            logger.exception("A step of the worker failed; the next round tries again.")


def _measure_repositories(run: Runtime) -> None:
    stale = Repository.select().where(Repository.size_is_stale & (Repository.storage_type == "local"))
    for repository in stale:
        repositories.measure(repository)


SCHEDULING: tuple[Step, ...] = (health.note_round, queue.queue_due_plans, upkeep.queue_compactions, queue.promote)
"""Quick steps that plans wait for."""

UPKEEP: tuple[Step, ...] = (maintenance.do_all, _measure_repositories, trash.empty)
"""Steps that may take hours."""
