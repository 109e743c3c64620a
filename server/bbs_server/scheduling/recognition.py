# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups that ran to their end but could not report: their archives tell."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from bbs_server.borg.command import BorgError
from bbs_server.borg.ssh import SshError
from bbs_server.models import Archive, Job
from bbs_server.runtime import Runtime
from bbs_server.scheduling import attempts, states
from bbs_server.services import completion, jobs
from bbs_server.services.repository_access import borg

logger = logging.getLogger(__name__)


def search(run: Runtime) -> None:
    """Look for the archive of each backup whose agent fell silent.

    A job in the queue with the name of an archive is one that nobody has looked for. Afterwards it
    is completed, failed, or without that name and so ready for its next attempt.
    """
    given_up = Job.select().where((Job.status == states.QUEUED) & awaits_search())
    for job in list(given_up.order_by(Job.queued_at, Job.id)):
        found = _find(run, job)
        with run.writing():
            if found is not None:
                _complete(run, job, found)
            elif job.stalls > attempts.limit(job):
                states.fail(run, job, attempts.exhausted(job, job.error_log or "The client fell silent."))
            else:
                unchanged = (Job.id == job.id) & (Job.attempt == job.attempt) & (Job.status == states.QUEUED)
                Job.update(archive_name=None).where(unchanged).execute()


def awaits_search() -> Any:
    """The condition for a queued backup whose earlier attempt may have left an archive."""
    return (Job.task_type == "backup") & Job.archive_name.is_null(False)


def _find(run: Runtime, job: Job) -> datetime | None:
    """When the archive of a job was completed, None when borg does not list it.

    Borg names an archive in its list once it is complete, not before. A lock that a lost agent has left
    behind does not matter to a list.
    """
    if job.repository is None:
        return None
    options = ("--json", "--format={end}", "--bypass-lock", f"--glob-archives={job.archive_name}")
    try:
        listed = json.loads(borg(run, job.repository, "list", *options, accept=0).output)["archives"]
        return datetime.fromisoformat(listed[0]["end"]).astimezone(UTC) if listed else None
    except (BorgError, SshError, ValueError, KeyError) as error:
        # Without an answer the safe thing is another backup.
        logger.warning("Job %s: the archive %s could not be looked for: %s", job.id, job.archive_name, error)
        return None


def _complete(run: Runtime, job: Job, made_at: datetime) -> None:
    seconds = max(0, int((made_at - (job.started_at or made_at)).total_seconds()))
    ended = {"completed_at": made_at, "duration_seconds": seconds, "error_log": None}
    if not states.end(run, job, states.COMPLETED, **ended):
        return
    jobs.log(run, job, "info", f"The archive {job.archive_name} is complete: the backup is done, its report was lost.")
    row = {"repository": job.repository_id, "name": job.archive_name, "job": job, "plan": job.plan_id}
    Archive.insert(created_at=made_at, **row).on_conflict_ignore().execute()
    completion.after_backup(run, job, made_at)
