# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What agents do: register, ask for work, report (agent-protocol.md §5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from bbs_server.clock import wire
from bbs_server.db.statements import Statement, slot
from bbs_server.errors import NotFound
from bbs_server.models import Archive, Client, Job
from bbs_server.runtime import Runtime
from bbs_server.scheduling import attempts, queue, states
from bbs_server.services import agent_keys, agent_tasks, catalogues, completion, jobs, tasks

FACTS: dict[str, int] = {
    "hostname": 255,
    "ip_address": 64,
    "os_info": 255,
    "agent_version": 64,
    "borg_version": 64,
    "borg_install_method": 16,
    "borg_source": 16,
    "borg_binary_path": 255,
    "glibc_version": 32,
    "platform": 32,
    "architecture": 32,
}
"""What an agent tells of its machine, and how many characters of it are kept."""

COUNTERS = ("files_total", "files_processed", "bytes_total", "bytes_processed")
LOG_LEVELS = ("info", "warning", "error")

_UNFINISHED = Statement(
    lambda: (
        Job.select(Job.status, Job.task_type)
        .distinct()
        .where((Job.client == slot("client")) & (Job.status.in_(states.ACTIVE) | jobs.lingering()))
        .tuples()
    )
)
"""Of a client's jobs that its agent may have to hear of, the states and kinds."""

_ERROR_LOG_LENGTH = 10_000
_LOG_LENGTH = 2_000
_STATUS_LENGTH = 255
_SILENT_RUNNING = timedelta(minutes=10)
_SILENT_SENT = timedelta(minutes=30)
_SILENT_HEARTBEAT = timedelta(minutes=120)


def register(
    run: Runtime, client: Client, facts: Mapping[str, Any], presented: str, *, exchange: bool = False
) -> dict[str, Any]:
    """Take note of an agent and its machine; tell it where its repositories are.

    :param presented: fingerprint of the key it came with.
    :param exchange: whether it takes a key of its own (``agent_keys``).
    """
    note_facts(run, client, facts)
    return {
        "status": "ok",
        "agent_id": client.id,
        "name": client.name,
        "poll_interval": run.settings.agent_poll_interval,
        **connection(run),
        **agent_keys.registered(run, client, presented, exchange=exchange),
    }


def note_facts(run: Runtime, client: Client, facts: Mapping[str, Any]) -> None:
    """Keep what an agent tells of its machine."""
    with run.writing():
        _note_facts(client, facts)


def connection(run: Runtime) -> dict[str, Any]:
    """How agents reach their repositories over SSH."""
    return {
        "ssh_unix_user": run.settings.account,
        "server_host": run.settings.server_host,
        "ssh_port": run.settings.ssh_port,
        "ssh_host_keys": host_keys(run),
    }


def host_keys(run: Runtime) -> list[str]:
    """The public host keys of the sshd that serves the repositories, as ``type base64``."""
    files = [Path(name) for name in run.settings.ssh_host_key_files]
    if not files and run.settings.private_sshd:
        files = sorted(run.settings.ssh_directory.glob("host_*_key.pub"))
    elif not files:
        files = sorted(Path("/etc/ssh").glob("ssh_host_*_key.pub"))
    texts = (file.read_text(encoding="utf-8").split() for file in files)
    return [" ".join(words[:2]) for words in texts if len(words) >= 2]


def ssh_key(run: Runtime, client: Client) -> dict[str, Any]:
    """The client's SSH key with the connection it is for."""
    private = run.keyring.open(client.sealed_ssh_private_key, table="clients", column="ssh_private_key", row=client.id)
    return {"status": "ok", "ssh_private_key": private, **connection(run)}


def poll(run: Runtime, client: Client) -> dict[str, Any]:
    """Work for an agent: every job that waits for it is told again until the agent reports on it."""
    unfinished = _UNFINISHED.raw(client=client.id)
    queued = {kind for state, kind in unfinished if state == states.QUEUED}
    let_through = queued and queue.promote_for(run, client, queued)
    if not let_through and all(state == states.QUEUED for state, _ in unfinished):
        # What almost every poll finds; it takes no lock, and it looks at the jobs of no other client.
        return {"status": "ok", "tasks": [], "poll_interval": run.settings.agent_poll_interval}
    waiting = list(
        Job.select().where((Job.client == client) & (Job.status == states.SENT)).order_by(Job.queued_at, Job.id)
    )
    found = [task for job in waiting if (task := _task(run, job)) is not None]
    reply = {"status": "ok", "tasks": found, "poll_interval": run.settings.agent_poll_interval}
    silent = _silent_jobs(run, client, {task["job_id"] for task in found})
    return reply | ({"check_jobs": silent} if silent else {})


def heartbeat(run: Runtime, client: Client) -> dict[str, Any]:
    """An agent at work says it is alive, and hears of jobs that seem stuck or were cancelled."""
    now = run.clock()
    reply: dict[str, Any] = {"status": "ok", "agent_id": client.id, "server_time": wire(now)}
    running = Job.select(Job.id).where((Job.client == client) & (Job.status == states.RUNNING))
    stuck = [job.id for job in running.where(Job.last_progress_at <= now - _SILENT_HEARTBEAT)]
    cancelled = Job.select(Job.id).where((Job.client == client) & jobs.lingering()).order_by(Job.started_at.desc())
    latest = cancelled.first()
    return reply | ({"check_jobs": stuck} if stuck else {}) | ({"cancel_job": latest.id} if latest else {})


def progress(run: Runtime, client: Client, report: Mapping[str, Any]) -> dict[str, Any]:
    """A report on a job in work. Nothing is written for a job that has ended."""
    job = _own_job(client, report["job_id"])
    now = run.clock()
    changes = {field: report[field] for field in COUNTERS if report.get(field) is not None}
    if report.get("status_message") is not None:
        changes["status_message"] = report["status_message"][:_STATUS_LENGTH]
    with run.writing():
        job = Job.get_by_id(job.id)
        superseded = attempts.is_old(job, report)
        active = not superseded and _runs(run, job, last_progress_at=now, **changes)
        if active and report.get("log_message"):
            jobs.log(run, job, report.get("log_level") or "info", report["log_message"][:_LOG_LENGTH])
    return {"status": "ok", "cancel": superseded or job.status == states.CANCELLED}


def status(run: Runtime, client: Client, report: Mapping[str, Any]) -> dict[str, Any]:
    """The last report on a job. Sent again for a job that has ended it changes nothing, so retries are safe."""
    job = _own_job(client, report["job_id"])
    completed = report["result"] == "completed"
    now = run.clock()
    with run.writing():
        job = Job.get_by_id(job.id)
        if job.status not in states.ACTIVE or attempts.is_old(job, report):
            return _late_report(run, job, report)
        if report["result"] == "abandoned":
            return _abandoned(run, job, report.get("error_log"))
        archive_id = _record_archive(run, job, report) if completed or report["result"] == "cataloging" else None
        if report["result"] != "cataloging":
            _end(run, job, report, completed=completed)
        else:
            _runs(run, job, last_progress_at=now)
    return {"status": "ok", "archive_id": archive_id}


def _runs(run: Runtime, job: Job, **changes: Any) -> bool:
    """Note that an agent is at work on a job: also on one that was given up because it had not been heard of."""
    if job.status == states.RUNNING:
        return bool(Job.update(**changes).where(Job.id == job.id).execute())
    given_up = job.status == states.QUEUED and job.attempt > 0
    if job.status != states.SENT and not given_up:
        return False
    began = {"started_at": job.started_at or run.clock(), "not_before": None, "error_log": None}
    return states.enter(run, job, states.RUNNING, **began, **changes)


def _abandoned(run: Runtime, job: Job, told: str | None) -> dict[str, Any]:
    """An agent does not know what became of a job that it was given: it was killed, or its machine was."""
    reason = "The agent does not know this job any more: it was restarted or lost it."
    if job.status in states.OCCUPYING:
        attempts.give_up(run, job, f"{reason} ({told[:_STATUS_LENGTH]})" if told else reason)
    return {"status": "ok"}


def _late_report(run: Runtime, job: Job, report: Mapping[str, Any]) -> dict[str, Any]:
    """A last report on a job that has ended, or on an earlier attempt than the one that is at work now."""
    jobs.end_cancelled(run, job)
    # What borg has completed is in the repository, whatever became of the job.
    archive_id = _record_archive(run, job, report) if report["result"] == "completed" else _archive_of(job)
    return {"status": "ok", "already_terminal": True, "archive_id": archive_id}


def _end(run: Runtime, job: Job, report: Mapping[str, Any], *, completed: bool) -> None:
    now = run.clock()
    changes = {field: report[field] for field in COUNTERS if report.get(field) is not None}
    error_log = report.get("error_log")
    states.end(
        run,
        job,
        states.COMPLETED if completed else states.FAILED,
        started_at=job.started_at or now,
        error_log=error_log[:_ERROR_LOG_LENGTH] if error_log else None,
        had_warnings=bool(report.get("had_warnings")),
        task_result=_task_result(job, report),
        last_progress_at=now,
        **changes,
    )
    if report.get("output_log") and job.task_type != agent_tasks.LIST_DIRECTORY:
        jobs.log(run, job, "info", report["output_log"][:_LOG_LENGTH])
    if completed and job.task_type == "backup":
        completion.after_backup(run, job, now)


def _record_archive(run: Runtime, job: Job, report: Mapping[str, Any]) -> int | None:
    name = report.get("archive_name")
    if job.task_type != "backup" or not name or job.repository_id is None:
        return _archive_of(job)
    databases = report.get("databases_backed_up")
    columns = {
        "job": job,
        "plan": job.plan_id,
        "file_count": report.get("files_processed") or report.get("files_total") or 0,
        "original_size": report.get("original_size") or 0,
        "deduplicated_size": report.get("deduplicated_size") or 0,
        "databases": json.dumps(databases) if databases else None,
        # The agent reports when its stream has ended.
        "catalogue_is_waiting": catalogues.stream_of(job.client_id, job.id).is_file(),
    }
    archive, created = Archive.get_or_create(
        repository=job.repository_id, name=name, defaults={**columns, "created_at": run.clock()}
    )
    if not created and archive.job_id is None:
        # It was found in the repository before its agent could be heard.
        Archive.update(columns).where(Archive.id == archive.id).execute()
    return int(archive.id)


def _task_result(job: Job, report: Mapping[str, Any]) -> str | None:
    """What a job was for, if that is a text; a directory's listing comes as output (agent-protocol.md §5.4)."""
    result: str | None = report.get("output_log" if job.task_type == agent_tasks.LIST_DIRECTORY else "task_result")
    return result


def _archive_of(job: Job) -> int | None:
    archive = Archive.get_or_none(Archive.job == job.id)
    return archive.id if archive else None


def _own_job(client: Client, job_id: int) -> Job:
    of_agent = Job.task_type.not_in(jobs.SERVER_TASKS)
    found: Job | None = Job.get_or_none((Job.id == job_id) & (Job.client == client) & of_agent)
    if found is None:
        raise NotFound("Job not found.")
    return found


def _task(run: Runtime, job: Job) -> dict[str, Any] | None:
    try:
        return tasks.payload(run, job)
    except tasks.NothingToDo as reason:
        states.fail(run, job, str(reason))
        return None


def _silent_jobs(run: Runtime, client: Client, delivered: set[int]) -> list[int]:
    now = run.clock()
    # Cancelled ones too: an agent that was restarted meanwhile says that it does not know them.
    at_work = Job.status.in_(states.OCCUPYING) | jobs.lingering()
    occupied = Job.select().where((Job.client == client) & at_work).order_by(Job.id)
    return [
        job.id
        for job in occupied
        if job.id not in delivered
        and job.task_type not in jobs.SERVER_TASKS
        and (
            job.last_progress_at <= now - _SILENT_RUNNING
            if job.last_progress_at
            else (job.started_at or job.queued_at) <= now - _SILENT_SENT
        )
    ]


def _note_facts(client: Client, facts: Mapping[str, Any]) -> None:
    for field, length in FACTS.items():
        if facts.get(field) is not None:
            setattr(client, field, facts[field][:length])
    if re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", facts.get("mac_address") or ""):
        client.mac_address = facts["mac_address"].lower()
    if facts.get("auto_update_enabled") is not None:
        client.auto_update_enabled = facts["auto_update_enabled"]
    # Nothing else: the name or the key may be changed at the same time.
    client.save(only=[getattr(Client, field) for field in (*FACTS, "mac_address", "auto_update_enabled")])
