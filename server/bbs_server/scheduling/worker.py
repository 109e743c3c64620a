# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker: one process that queues due plans, lets jobs through and does the server's own work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from bbs_server.models import Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import maintenance, queue
from bbs_server.services import repositories, trash

logger = logging.getLogger(__name__)

LOST_AFTER = timedelta(minutes=5)
"""Silence of a client and its job before the job counts as lost (agent-protocol.md §9.1)."""


def work(run: Runtime, stop: threading.Event) -> None:
    """Make rounds until told to stop. A step that fails is logged and does not end the others."""
    logger.info("Worker started: a round every %s s.", run.settings.worker_interval)
    while not stop.is_set():
        with run.database.connection_context():
            round_once(run)
        stop.wait(run.settings.worker_interval)
    logger.info("Worker stopped.")


def round_once(run: Runtime) -> None:
    """One round, in an order that lets a plan that is due now start now."""
    steps: tuple[Callable[[Runtime], object], ...] = (
        queue.queue_due_plans,
        queue.promote,
        lambda run: queue.fail_lost_jobs(run, LOST_AFTER),
        maintenance.do_all,
        _measure_repositories,
        trash.empty,
    )
    for step in steps:
        try:
            step(run)
        except Exception:
            logger.exception("A step of the worker failed; the next round tries again.")


def _measure_repositories(run: Runtime) -> None:
    stale = Repository.select().where(Repository.size_is_stale & (Repository.storage_type == "local"))
    for repository in stale:
        repositories.measure(repository)
