# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: queueing, reading, cancelling and retrying work (admin-api.md §5.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import peewee
from peewee import JOIN, Case, fn

from bbs_server.auth import Principal
from bbs_server.clock import wire
from bbs_server.errors import Conflict, Invalid, NotFound
from bbs_server.models import Archive, Client, Job, JobLog, Plan, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import audit, clients, server_jobs

MAXIMUM_PAGE = 200
DEFAULT_PAGE = 50

SERVER_TASKS = frozenset(
    {
        "prune", "compact", "repo_check", "repo_repair", "break_lock", "archive_delete", "archive_lock",
        "catalog_rebuild", "catalog_rebuild_full", "s3_sync",
    }
)  # fmt: skip
"""Task types the worker carries out; all others are for agents (agent-protocol.md §7.2)."""

LOCKING_TASKS = frozenset({"backup", "restore", "restore_mysql", "restore_pg", "restore_mongo"})
"""Task types that may leave a lock in the repository when they are cut off."""

_DAY = timedelta(days=1)


def trigger(run: Runtime, plan: Plan) -> Job:
    """Queue a backup of a plan now, whatever its schedule says.

    :raises Conflict: a backup of this plan is already queued or running; ``job_id`` names it.
    """
    with run.writing():
        active = Job.get_or_none((Job.plan == plan) & (Job.task_type == "backup") & Job.status.in_(states.ACTIVE))
        if active is not None:
            raise Conflict("A backup is already queued or running for this plan.", job_id=active.id)
        job: Job = Job.create(
            client=plan.client_id,
            plan=plan,
            repository=plan.repository_id,
            task_type="backup",
            status=states.QUEUED,
            queued_at=run.clock(),
        )
        audit.record(run, "plan.trigger", f'Backup queued for plan "{plan.name}".', client=plan.client)
    return job


def page(client: Client, *, limit: int, offset: int, status: str | None) -> dict[str, Any]:
    """A client's jobs, newest first.

    :param status: comma-separated states; unknown ones among known ones are ignored.
    :raises Invalid: no known state in ``status``.
    """
    limit = min(limit, MAXIMUM_PAGE)
    rows = _with_names().where(Job.client == client)
    if status and status != "0":
        wanted = {part.strip() for part in status.split(",")} & set(states.ALL)
        if not wanted:
            raise Invalid(f"status: must be one or more of {', '.join(states.ALL)}.")
        rows = rows.where(Job.status.in_(wanted))
    newest = rows.order_by(Job.queued_at.desc(), Job.id.desc())
    return {
        "jobs": [summary(job) for job in newest.limit(limit).offset(offset)],
        "total": rows.count(),
        "limit": limit,
        "offset": offset,
    }


def find_for_client(client: Client, job_id: int) -> Job:
    """One job of a client.

    :raises NotFound: unknown, or another client's.
    """
    found: Job | None = _with_names().where((Job.client == client) & (Job.id == job_id)).first()
    if found is None:
        raise NotFound("Job not found.")
    return found


def find(caller: Principal, job_id: int) -> Job:
    """One job of any client the caller may see.

    :raises NotFound: unknown or invisible.
    """
    rows = _with_names().where(Job.id == job_id)
    found: Job | None = (rows if caller.is_admin else rows.where(Client.owner == caller.user)).first()
    if found is None:
        raise NotFound("Job not found.")
    return found


def summary(job: Job) -> dict[str, Any]:
    """A job as it stands in lists."""
    return {
        "id": job.id,
        "task_type": job.task_type,
        "status": job.status,
        **_counters(job),
        "duration_seconds": job.duration_seconds,
        "status_message": job.status_message,
        "queued_at": wire(job.queued_at),
        "started_at": wire(job.started_at),
        "completed_at": wire(job.completed_at),
        "plan_name": job.plan.name if job.plan else None,
        "repository_name": job.repository.name if job.repository else None,
    }


def detail(job: Job) -> dict[str, Any]:
    """All of a job, with upstream's column names."""
    return summary(job) | {
        "backup_plan_id": job.plan_id,
        "agent_id": job.client_id,
        "repository_id": job.repository_id,
        "source_repository_id": None,
        "plugin_config_id": job.plugin_config_id,
        "error_log": job.error_log,
        "task_result": job.task_result,
        "had_warnings": int(job.had_warnings),
        "retry_count": job.retry_count,
        "attempt": job.attempt,
        "not_before": wire(job.not_before),
        "parent_job_id": job.parent_job_id,
        "restore_archive_id": job.restore_archive_id,
        "restore_paths": job.restore_paths,
        "restore_destination": job.restore_destination,
        "restore_databases": job.restore_databases,
        "last_progress_at": wire(job.last_progress_at),
        "archive_name": job.archive_name,
    }


def extended(run: Runtime, job: Job) -> dict[str, Any]:
    """A job with its client, its log and its place in the queue."""
    ahead = Job.select().where((Job.status == states.QUEUED) & (Job.id < job.id)).count()
    return detail(job) | {
        "client_id": job.client_id,
        "client_name": job.client.name,
        "client_status": clients.status(run, job.client),
        "client_last_heartbeat": wire(job.client.last_heartbeat),
        "logs": [
            {"level": line.level, "message": line.message, "created_at": wire(line.at)}
            for line in job.logs.order_by(JobLog.id)
        ],
        "queue": {**_slots(run), "position": ahead + 1 if job.status == states.QUEUED else None},
    }


def queue(run: Runtime, caller: Principal, recent: int, limit: int | None = None, offset: int = 0) -> dict[str, Any]:
    """Active jobs, oldest first, and how many there are; with the latest that ended.

    :param recent: how many ended jobs, 1 to 50.
    :param limit: how many active jobs; None: all.
    """
    rows = _with_names()
    if not caller.is_admin:
        rows = rows.where(Client.owner == caller.user)
    active = rows.where(Job.status.in_(states.ACTIVE)).order_by(Job.queued_at, Job.id)
    ended = rows.where(Job.completed_at.is_null(False)).order_by(Job.completed_at.desc(), Job.id.desc())
    return {
        "queue": [_queued(job) for job in active.limit(limit).offset(offset)],
        "count": active.count(),
        "recent": [_ended(job) for job in ended.limit(max(1, min(recent, 50)))],
        "slots": _slots(run),
        "stats": _statistics(run),
    }


def cancel(run: Runtime, job: Job) -> None:
    """Stop a job; its agent hears of it with its next report or heartbeat (agent-protocol.md §5.5).

    :raises Conflict: the job has ended.
    """
    with run.writing():
        # Read again under the write lock: its next attempt may have begun meanwhile.
        current = Job.get_by_id(job.id)
        if not states.enter(run, current, states.CANCELLED, completed_at=run.clock()):
            raise Conflict(f"The job cannot be cancelled: it is {current.status}.")
        audit.record(run, "job.cancel", f"Job #{job.id} cancelled.", client=job.client)


def lingering(table: Any = Job) -> Any:
    """The condition for a cancelled job that its agent may still be at work on.

    Cancelling ends a job here; its borg ends when the agent hears of it. Only then is the job's
    duration known, so that a missing one tells that the last report is still to come.

    :param table: the jobs, or an alias of them.
    """
    return (
        (table.status == states.CANCELLED)
        & table.task_type.not_in(SERVER_TASKS)
        & table.started_at.is_null(False)
        & table.duration_seconds.is_null()
    )


def stopping(table: Any = Job) -> Any:
    """The condition for a cancelled job of the server's own whose borg has not ended yet; see :func:`lingering`.

    :param table: the jobs, or an alias of them.
    """
    return (
        (table.status == states.CANCELLED)
        & table.task_type.in_(SERVER_TASKS)
        & table.started_at.is_null(False)
        & table.duration_seconds.is_null()
    )


def end_cancelled(run: Runtime, job: Job) -> None:
    """Take note that nobody works on a cancelled job any more: now a lock it left behind can go."""
    duration = int((run.clock() - (job.started_at or run.clock())).total_seconds())
    first = (Job.id == job.id) & (Job.status == states.CANCELLED) & Job.duration_seconds.is_null()
    with run.writing():
        ended = Job.update(duration_seconds=duration).where(first).execute()
        if ended and job.task_type in LOCKING_TASKS and job.repository_id:
            server_jobs.follow_up(run, job, "break_lock")


def retry(run: Runtime, job: Job) -> Job:
    """Queue a failed job once more, as a new job.

    :raises Conflict: the job has not failed.
    """
    if job.status != states.FAILED:
        raise Conflict(f"Only failed jobs can be retried: this one is {job.status}.")
    with run.writing():
        again: Job = Job.create(
            client=job.client_id,
            plan=job.plan_id,
            repository=job.repository_id,
            plugin_config=job.plugin_config_id,
            parent_job=job,
            task_type=job.task_type,
            status=states.QUEUED,
            retry_count=job.retry_count + 1,
            restore_archive_id=job.restore_archive_id,
            restore_paths=job.restore_paths,
            restore_destination=job.restore_destination,
            restore_databases=job.restore_databases,
            # An agent's archive gets a new name; the server's jobs are about an existing one.
            archive_name=job.archive_name if job.task_type in SERVER_TASKS else None,
            task_parameters=job.task_parameters,
            queued_at=run.clock(),
        )
        audit.record(run, "job.retry", f"Job #{job.id} retried as #{again.id}.", client=job.client)
    return again


def log(run: Runtime, job: Job, level: str, message: str) -> None:
    """Add a line to a job's log."""
    JobLog.create(job=job, at=run.clock(), level=level, message=message)


def retains(plan: Plan | None) -> bool:
    """Whether a plan's retention removes anything: all zero keeps everything."""
    fields = ("minutes", "hours", "days", "weeks", "months", "years")
    return plan is not None and any(getattr(plan, f"prune_{field}") for field in fields)


def expected_files(plan: Plan) -> int:
    """Files in the plan's latest archive, 0 when there is none."""
    latest = Archive.select(Archive.file_count).where(Archive.plan == plan).order_by(Archive.id.desc()).first()
    return int(latest.file_count) if latest else 0


def _with_names() -> peewee.ModelSelect[Job]:
    return (
        Job.select(Job, Client, Plan, Repository)
        .join(Client)
        .switch(Job)
        .join(Plan, JOIN.LEFT_OUTER, on=Job.plan)
        .switch(Job)
        .join(Repository, JOIN.LEFT_OUTER, on=Job.repository)
    )


def _counters(job: Job) -> dict[str, Any]:
    return {
        "files_total": job.files_total,
        "files_processed": job.files_processed,
        "bytes_total": job.bytes_total,
        "bytes_processed": job.bytes_processed,
    }


def _queued(job: Job) -> dict[str, Any]:
    shown = summary(job) | {"client_id": job.client_id, "client_name": job.client.name}
    return {key: value for key, value in shown.items() if key not in ("duration_seconds", "completed_at")}


def _ended(job: Job) -> dict[str, Any]:
    shown = summary(job) | {"client_id": job.client_id, "client_name": job.client.name}
    counters = _counters(job)
    return {key: value for key, value in shown.items() if key not in counters} | {"had_warnings": int(job.had_warnings)}


def _slots(run: Runtime) -> dict[str, int]:
    occupied = Job.select().where(Job.status.in_(states.OCCUPYING) & Job.task_type.not_in(SERVER_TASKS))
    return {"active": occupied.count(), "max": run.settings.max_queue}


def _statistics(run: Runtime) -> dict[str, Any]:
    def count(condition: Any) -> Any:
        return fn.COALESCE(fn.SUM(Case(None, ((condition, 1),), 0)), 0)

    lately = Job.completed_at >= run.clock() - _DAY
    row: Any = (
        Job.select(
            count(Job.status == states.QUEUED).alias("queued"),
            count(Job.status.in_(states.OCCUPYING)).alias("running"),
            count((Job.status == states.COMPLETED) & lately).alias("completed_24h"),
            count((Job.status == states.FAILED) & lately).alias("failed_24h"),
            fn.AVG(Case(None, (((Job.status == states.COMPLETED) & lately, Job.duration_seconds),), None)).alias(
                "average"
            ),
        )
        .where(Job.status.in_(states.ACTIVE) | lately)
        .dicts()
        .get()
    )
    average = row.pop("average")
    return {**{key: int(value) for key, value in row.items()}, "avg_seconds_24h": int(average or 0)}
