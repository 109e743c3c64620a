# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the server does its work (admin-api.md §6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import peewee

from bbs_server import __version__
from bbs_server.auth import Principal
from bbs_server.clock import wire
from bbs_server.models import Client, Job, Plan, Setting, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import clients, freshness, jobs, maintenance_mode

OK, WARNING, CRITICAL = "ok", "warning", "critical"

SILENT_WORKER = timedelta(minutes=3)
"""Time without a round after which the worker counts as gone, unless it is busy with borg."""

LONGEST_JOB = timedelta(days=1)
"""A job of the server that began earlier has lost its worker."""

FULL_PERCENT, NEARLY_FULL_PERCENT = 98, 90

_ROUND = "worker_round"
_DAY = timedelta(days=1)
_STALLED = timedelta(hours=2)


def note_round(run: Runtime) -> None:
    """Remember that the worker is at work; called at the start of each round."""
    value = run.clock().isoformat()
    noted = Setting.insert(name=_ROUND, value=value)
    noted.on_conflict(conflict_target=[Setting.name], update={Setting.value: value}).execute()


def last_round() -> datetime | None:
    """When the worker last began a round."""
    found: Setting | None = Setting.get_or_none(Setting.name == _ROUND)
    return datetime.fromisoformat(found.value).astimezone(UTC) if found else None


def report(run: Runtime, caller: Principal) -> dict[str, Any]:
    """All checks, with the worst of them on top. Who is no administrator reads the names of their own clients only."""
    checks = {
        "database": _database(),
        "scheduler": _scheduler(run),
        "storage": _storage(),
        "catalog": {"status": OK, "message": "Catalogues lie beside the repositories; no second database is needed"},
        "clients": _clients(run),
        "backups": _backups(run, caller),
        "maintenance": _maintenance(),
    }
    return {
        "status": _worst(check["status"] for check in checks.values()),
        "version": __version__,
        "checked_at": run.clock().isoformat(),
        "problems": [f"{name}: {check['message']}" for name, check in checks.items() if check["status"] != OK],
        "checks": checks,
    }


def _database() -> dict[str, Any]:
    try:
        Setting.select().limit(1).count()
    except peewee.PeeweeException:
        return {"status": CRITICAL, "message": "Not reachable"}
    return {"status": OK, "message": "Reachable"}


def _scheduler(run: Runtime) -> dict[str, Any]:
    last = last_round()
    if last is None:
        message = "The worker has never run: start it with 'bbs-server worker' or 'bbs-server run'"
        return {"status": CRITICAL, "message": message, "last_run": None, "seconds_ago": None}
    seconds = int((run.clock() - last).total_seconds())
    if _busy(run):
        status, message = OK, "The worker is busy with a repository"
    elif seconds > SILENT_WORKER.total_seconds():
        status, message = CRITICAL, f"The worker has been silent for {seconds} seconds"
    else:
        status, message = OK, "Running"
    return {"status": status, "message": message, "last_run": wire(last), "seconds_ago": seconds}


def _busy(run: Runtime) -> bool:
    at_work = Job.select().where(
        (Job.status == states.RUNNING)
        & Job.task_type.in_(jobs.SERVER_TASKS)
        & (Job.started_at >= run.clock() - LONGEST_JOB)
    )
    return bool(at_work.exists())


def _storage() -> dict[str, Any]:
    locations = [_location(row) for row in StorageLocation.select().order_by(StorageLocation.label)]
    status = _worst(location["status"] for location in locations) if locations else CRITICAL
    good = sum(location["status"] != CRITICAL for location in locations)
    message = f"{good} location(s) with space available" if status == OK else f"{good} of {len(locations)} usable"
    full = [f"{location['name']}: {location['message']}" for location in locations if location["status"] != OK]
    return {"status": status, "message": "; ".join(full) or message, "locations": locations}


def _location(row: StorageLocation) -> dict[str, Any]:
    try:
        usage = shutil.disk_usage(row.path)
    except OSError as error:
        told = {"status": CRITICAL, "message": f"Cannot be used: {error.strerror}"}
        return {"name": row.label, **told, "used_percent": None, "total_bytes": None, "free_bytes": None}
    percent = round(100 * (1 - usage.free / usage.total), 1)
    status = CRITICAL if percent >= FULL_PERCENT else WARNING if percent >= NEARLY_FULL_PERCENT else OK
    return {
        "name": row.label,
        "status": status,
        "message": "OK" if status == OK else f"{percent} % full",
        "used_percent": percent,
        "total_bytes": usage.total,
        "free_bytes": usage.free,
    }


def _clients(run: Runtime) -> dict[str, Any]:
    """Which clients are there. A laptop that is off is no problem; backups that are too old are (``_backups``)."""
    counts = clients_by_status(run)
    known = counts["online"] + counts["offline"]
    return {"status": OK, "message": f"{counts['online']} of {known} online", "counts": counts}


def clients_by_status(run: Runtime) -> dict[str, int]:
    """How many clients are in each state."""
    since = clients.online_since(run)
    total = Client.select().count()
    setup = Client.select().where(Client.last_heartbeat.is_null()).count()
    online = Client.select().where(Client.last_heartbeat >= since).count()
    return {"online": online, "offline": total - setup - online, "error": 0, "setup": setup}


def _backups(run: Runtime, caller: Principal) -> dict[str, Any]:
    now = run.clock()
    overdue = _overdue(run, caller)
    failed = Job.select().where((Job.status == states.FAILED) & (Job.completed_at >= now - _DAY)).count()
    stalled = Job.select().where((Job.status == states.RUNNING) & (Job.last_progress_at < now - _STALLED)).count()
    waiting = Job.select().where(Job.status == states.QUEUED).count()
    late = f"{len(overdue)} client(s) without a backup for too long" if overdue else ""
    stuck = f"{stalled} job(s) without progress" if stalled else ""
    message = "; ".join(part for part in (late, stuck) if part)
    return {
        "status": WARNING if message else OK,
        "message": message or "Every client has backed up within its allowance",
        "overdue_clients": len(overdue),
        "overdue": overdue,
        "default_overdue_hours": freshness.DEFAULT_HOURS,
        "failed_24h": failed,
        "stalled": stalled,
        "in_queue": waiting,
    }


def _overdue(run: Runtime, caller: Principal) -> list[dict[str, Any]]:
    """Clients that the caller may see, with a plan that should have succeeded since."""
    rows = Plan.select(Plan, Client).join(Client).order_by(Client.name, Client.id)
    if not caller.is_admin:
        rows = rows.where(Client.owner == caller.user)
    found: dict[int, dict[str, Any]] = {}
    for plan in rows:
        if freshness.is_stale(run, plan):
            told = {"client_id": plan.client_id, "name": plan.client.name, "last_backup": wire(plan.last_success)}
            found[plan.client_id] = told
    return list(found.values())


def _maintenance() -> dict[str, Any]:
    on = maintenance_mode.enabled()
    return {"status": WARNING if on else OK, "message": "On: no backups start" if on else "Off", "enabled": on}


def _worst(found: Iterable[str]) -> str:
    return max(found, key=(OK, WARNING, CRITICAL).index)
