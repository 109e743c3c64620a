# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the next job that waits for the server, and sees it to an end."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bbs_server.borg.command import BorgError, BorgStopped
from bbs_server.borg.ssh import SshError
from bbs_server.models import Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.s3 import S3Error
from bbs_server.scheduling import queue, states
from bbs_server.server_tasks import archives, catalogues, checking, pruning
from bbs_server.server_tasks.work import Work
from bbs_server.services import jobs, s3_links, s3_sync

logger = logging.getLogger(__name__)

LOG_LENGTH = 10_000
"""Characters of borg's last words that a job's log keeps."""

_CHANGING = frozenset({"prune", "compact", "repo_repair", "archive_delete", "archive_lock"})
"""What leaves other files in a repository than it found."""

_ACTIONS: dict[str, Callable[[Work], str]] = {
    "prune": pruning.prune,
    "compact": pruning.compact,
    "repo_check": checking.check,
    "repo_repair": checking.repair,
    "break_lock": checking.break_lock,
    "archive_delete": archives.delete,
    "archive_lock": archives.lock,
    "catalog_rebuild": catalogues.rebuild,
    "catalog_rebuild_full": catalogues.rebuild_all,
    "s3_sync": lambda work: s3_sync.copy(work.run, work.repository, work.go_on),
}


def do_next(run: Runtime, holder: str) -> bool:
    """Do the next job that waits for the server; returns whether there was one.

    :param holder: the worker that does it.
    """
    job = queue.claim_server_job(run, holder)
    if job is not None:
        _do(run, job)
    return job is not None


def _do(run: Runtime, job: Job) -> None:
    action = _ACTIONS.get(job.task_type)
    if action is None or job.repository is None:
        states.fail(run, job, "The repository was deleted, or this server does not know the task.")
        return
    work = Work(run, job, job.repository)
    try:
        output = action(work)
    except BorgStopped:
        jobs.end_cancelled(run, job)
    except (BorgError, SshError, S3Error) as error:
        states.fail(run, job, str(error))
    except Exception:
        # A job that stayed "running" would block its repository for good.
        logger.exception("Job %s (%s) met an unexpected error", job.id, job.task_type)
        states.fail(run, job, "The server failed to do this; its log tells more.")
    else:
        _complete(work, output)


def _complete(work: Work, output: str) -> None:
    run, job = work.run, work.job
    Repository.update(size_is_stale=True).where(Repository.id == job.repository_id).execute()
    with run.writing():
        if not states.end(run, job, states.COMPLETED, had_warnings=work.warned):
            jobs.end_cancelled(run, job)
        elif output:
            jobs.log(run, job, "info", output[-LOG_LENGTH:])
    if job.task_type in _CHANGING:
        s3_links.queue_copy(run, job)
