# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers for monitoring: as JSON, and as Prometheus reads them (admin-api.md §6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from peewee import fn

from bbs_server import __version__
from bbs_server.clock import wire
from bbs_server.models import Archive, Client, Job, Plan, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import freshness, health, schedules, storage

Sample = tuple[dict[str, Any], float | None]

# No models are made of what thousands of rows are read from.
_REPOSITORY = (Repository.id, Repository.client, Repository.name, Repository.storage_type, Repository.size_bytes)
_CLIENT = Client.name.alias("client_name")

_PLAN_FAMILIES = {
    "next_run_timestamp_seconds": "When a plan runs next.",
    "last_success_timestamp_seconds": "When a plan's latest good backup ended.",
    "last_backup_failed": "1 when a plan's latest backup failed.",
    "stale": "1 when a plan has not succeeded for longer than it may.",
    "never_backed_up": "1 until a plan has succeeded once.",
}
"""The numbers of each plan: how they are called, and what they mean."""


def snapshot(run: Runtime) -> dict[str, Any]:
    """The numbers in upstream's form."""
    counts = health.clients_by_status(run)
    by_status = _jobs_by_status()
    latest = schedules.latest_backups()
    return {
        "generated_at": run.clock().isoformat(),
        "clients": {"total": sum(counts.values()), **counts},
        "queue": {state: sum(_of(by_status, state)) for state in states.ACTIVE},
        "backup_jobs_total": [
            {"status": state, "count": by_status.get(("backup", state), 0)}
            for state in states.ALL
            if state not in states.ACTIVE and ("backup", state) in by_status
        ],
        "plans": [
            {
                "id": plan.id,
                "client_id": plan.client,
                "name": plan.name,
                "enabled": plan.enabled,
                "next_run": wire(plan.next_run),
                "last_status": latest[plan.id].status if plan.id in latest else None,
                "last_completed_at": wire(latest[plan.id].completed_at) if plan.id in latest else None,
            }
            for plan in Plan.select(Plan.id, Plan.client, Plan.name, Plan.enabled, Plan.next_run)
            .order_by(Plan.id)
            .namedtuples()
        ],
        "repositories": [
            {
                "id": row.id,
                "client_id": row.client,
                "name": row.name,
                "storage_type": row.storage_type,
                "size_bytes": row.size_bytes,
            }
            for row in Repository.select(*_REPOSITORY).order_by(Repository.id).namedtuples()
        ],
    }


def prometheus(run: Runtime) -> str:
    """The numbers in Prometheus' text format, version 0.0.4."""
    return "".join(line for family in _families(run) for line in _written(*family))


def _families(run: Runtime) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    jobs = _jobs_by_status()
    yield "bbs_build_info", "Version of the server.", [({"version": __version__}, 1)]
    clients = health.clients_by_status(run)
    yield "bbs_clients", "Clients by state.", [({"status": state}, count) for state, count in clients.items()]
    yield (
        "bbs_jobs",
        "Jobs on record by type and state.",
        [({"task_type": task, "status": state}, count) for (task, state), count in sorted(jobs.items())],
    )
    yield from _plan_families(run)
    yield from _repository_families()
    local = storage.listed()["local"]
    for field, text in (("total_bytes", "Size"), ("free_bytes", "Free space")):
        samples: list[Sample] = [({"location": row["name"], "path": row["path"]}, row[field]) for row in local]
        yield f"bbs_storage_{field}", f"{text} of a storage location.", samples
    last = health.last_round()
    yield "bbs_worker_last_round_timestamp_seconds", "When the worker last began a round.", [({}, _seconds(last))]


def _plan_families(run: Runtime) -> Iterator[tuple[str, str, list[Sample]]]:
    latest = schedules.latest_backups()
    found: dict[str, list[Sample]] = {name: [] for name in _PLAN_FAMILIES}
    columns = (Plan.id, Plan.name, Plan.next_run, *freshness.COLUMNS, _CLIENT)
    plans: Any = Plan.select(*columns).join(Client).order_by(Plan.id).namedtuples()
    for plan in plans:
        labels = {"client": plan.client_name, "plan": plan.name}
        found["next_run_timestamp_seconds"].append((labels, _seconds(plan.next_run)))
        found["last_success_timestamp_seconds"].append((labels, _seconds(plan.last_success)))
        found["stale"].append((labels, freshness.is_stale(run, plan)))
        found["never_backed_up"].append((labels, plan.last_success is None))
        if plan.id in latest:
            found["last_backup_failed"].append((labels, latest[plan.id].status == states.FAILED))
    for name, text in _PLAN_FAMILIES.items():
        yield f"bbs_plan_{name}", text, found[name]


def _repository_families() -> Iterator[tuple[str, str, list[Sample]]]:
    counts: Any = Archive.select(Archive.repository, fn.COUNT(Archive.id)).group_by(Archive.repository).tuples()
    archives: dict[int, int] = dict(counts)
    sizes: list[Sample] = []
    numbers: list[Sample] = []
    rows: Any = Repository.select(*_REPOSITORY, _CLIENT).join(Client).order_by(Repository.id).namedtuples()
    for row in rows:
        labels = {"client": row.client_name, "repository": row.name, "storage_type": row.storage_type}
        sizes.append((labels, row.size_bytes))
        numbers.append((labels, archives.get(row.id, 0)))
    yield "bbs_repository_size_bytes", "Disk space that a repository occupies.", sizes
    yield "bbs_repository_archives", "Archives on record in a repository.", numbers


def _jobs_by_status() -> dict[tuple[str, str], int]:
    rows: Any = Job.select(Job.task_type, Job.status, fn.COUNT(Job.id)).group_by(Job.task_type, Job.status).tuples()
    return {(task, state): count for task, state, count in rows}


def _of(by_status: dict[tuple[str, str], int], wanted: str) -> Iterator[int]:
    return (count for (_, state), count in by_status.items() if state == wanted)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _written(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    known = [(labels, value) for labels, value in samples if value is not None]
    if known:
        yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in known:
        inside = ",".join(f'{key}="{_escaped(str(label))}"' for key, label in labels.items())
        yield f"{name}{{{inside}}} {value:.15g}\n" if inside else f"{name} {value:.15g}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
