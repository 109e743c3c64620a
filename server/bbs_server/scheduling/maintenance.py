# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs the server does itself on repositories: prune, check, compact … (agent-protocol.md §12)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from bbs_server.borg.command import BorgError
from bbs_server.borg.ssh import SshError
from bbs_server.models import Archive, Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.s3 import S3Error
from bbs_server.scheduling import queue, states
from bbs_server.services import archives, jobs, s3_links, s3_sync
from bbs_server.services.repository_access import borg
from bbs_server.services.tasks import LOCK_WAIT

logger = logging.getLogger(__name__)

_CHANGING = frozenset({"prune", "compact", "archive_delete", "archive_lock"})
"""What leaves other files in a repository than it found."""

LOG_LENGTH = 10_000
"""Characters of borg's last words that a job's log keeps."""

_KEEP = {
    "prune_minutes": "--keep-minutely",
    "prune_hours": "--keep-hourly",
    "prune_days": "--keep-daily",
    "prune_weeks": "--keep-weekly",
    "prune_months": "--keep-monthly",
    "prune_years": "--keep-yearly",
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
    try:
        output = action(run, job, job.repository)
    except (BorgError, SshError, S3Error) as error:
        states.fail(run, job, str(error))
        return
    except Exception:
        # A job that stayed "running" would block its repository for good.
        logger.exception("Job %s (%s) met an unexpected error", job.id, job.task_type)
        states.fail(run, job, "The server failed to do this; its log tells more.")
        return
    Repository.update(size_is_stale=True).where(Repository.id == job.repository_id).execute()
    with run.writing():
        if states.end(run, job, states.COMPLETED) and output:
            jobs.log(run, job, "info", output[-LOG_LENGTH:])
    if job.task_type in _CHANGING:
        s3_links.queue_copy(run, job)


def _prune(run: Runtime, job: Job, repository: Repository) -> str:
    """Thin out the archives of the job's plan, or of each plan of the repository by its own rules."""
    retaining = [plan for plan in ([job.plan] if job.plan else repository.plans) if jobs.retains(plan)]
    if not retaining:
        return "Everything is kept: nothing to prune."
    vanished = _vanished(run, repository)
    told = []
    for plan in retaining:
        keep = [f"{option}={getattr(plan, field)}" for field, option in _KEEP.items() if getattr(plan, field)]
        scope = f"--glob-archives=plan{plan.id}-*"
        told.append(borg(run, repository, "prune", "--list", LOCK_WAIT, scope, *keep).log)
    told.append(f"{_forget_archives(run, repository) - len(vanished)} archives were pruned.")
    return _text(*told, _compact_unless(vanished, run, repository))


def _vanished(run: Runtime, repository: Repository) -> list[str]:
    """Recorded archives that no job has removed, and that are gone all the same."""
    existing = _existing(run, repository)
    return sorted(archive.name for archive in repository.archives if archive.name not in existing)


def _compact_unless(vanished: list[str], run: Runtime, repository: Repository) -> str:
    """Free what pruning has left, but not what somebody else has deleted: until then it can be brought back."""
    if vanished:
        return (
            f"Not compacted: {', '.join(vanished)} vanished without a job of this server. If nobody meant to delete "
            "them, stop all backups to the repository; 'append-only mode' in borg's manual says how to get them back."
        )
    return borg(run, repository, "compact", LOCK_WAIT).log


def _break_lock(run: Runtime, job: Job, repository: Repository) -> str:
    borg(run, repository, "break-lock")
    return "Locks left behind were removed."


def _compact(run: Runtime, job: Job, repository: Repository) -> str:
    if job.parent_job_id is not None and (vanished := _vanished(run, repository)):
        # The weekly round asks for it, no person.
        return _compact_unless(vanished, run, repository)
    return _text(borg(run, repository, "compact", "--verbose", LOCK_WAIT).log, "Unused space was freed.")


def _check(run: Runtime, job: Job, repository: Repository) -> str:
    # Borg ends "with warnings" when it has found damage.
    return _text(borg(run, repository, "check", "--verbose", LOCK_WAIT, accept=0).log, "The repository is sound.")


def _delete_archive(run: Runtime, job: Job, repository: Repository) -> str:
    archive = _archive(job, repository)
    if archive is None:
        return "The archive is gone already."
    if archives.is_locked(archive):
        raise BorgError(f"The archive {archive.name} was locked in the meantime.")
    done = borg(run, repository, "delete", "--list", LOCK_WAIT, archive=archive.name)
    if archive.name in _existing(run, repository):
        raise BorgError(done.log.strip() or f"Borg did not delete the archive {archive.name}.")
    archive.delete_instance()
    return _text(done.log, f"The archive {archive.name} was deleted.")


def _lock_archive(run: Runtime, job: Job, repository: Repository) -> str:
    archive, name = _archive(job, repository), job.archive_name
    if archive is None or name is None:
        raise BorgError("The archive is gone.")
    if archive.name != name:
        borg(run, repository, "rename", LOCK_WAIT, archive=archive.name, then=[name])
        Archive.update(name=name).where(Archive.id == archive.id).execute()
    return f"The archive is named {name} now."


def _archive(job: Job, repository: Repository) -> Archive | None:
    found: Archive | None = repository.archives.where(Archive.id == job.restore_archive_id).first()
    return found


def _forget_archives(run: Runtime, repository: Repository) -> int:
    """Remove the records of archives that borg does not list any more; returns how many."""
    existing = _existing(run, repository)
    gone = [archive.id for archive in repository.archives if archive.name not in existing]
    return int(Archive.delete().where(Archive.id.in_(gone)).execute()) if gone else 0


def _existing(run: Runtime, repository: Repository) -> set[str]:
    """The names of a repository's archives, as borg lists them.

    :raises BorgError: the list cannot be read; nothing may be concluded from it.
    """
    listing = borg(run, repository, "list", "--json", LOCK_WAIT, accept=0).output
    try:
        return {archive["name"] for archive in json.loads(listing)["archives"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BorgError("Borg's list of archives could not be read; the records stay as they were.") from error


def _text(*parts: str) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())


_ACTIONS: dict[str, Callable[[Runtime, Job, Repository], str]] = {
    "prune": _prune,
    "break_lock": _break_lock,
    "compact": _compact,
    "repo_check": _check,
    "archive_delete": _delete_archive,
    "archive_lock": _lock_archive,
    "s3_sync": lambda run, job, repository: s3_sync.copy(run, repository),
}
