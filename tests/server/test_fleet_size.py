# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A poll and a tick cost the same with ten clients and with ten thousand, and no table is read from end to end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import peewee
import pytest

from bbs_server.models import Client, Job, Plan, Repository
from bbs_server.scheduling import worker
from bbs_server.secrets import fingerprint
from bbs_server.services import plans

from .conftest import Server, make_server
from .test_query_counts import counting

FEW, MANY = 10, 10_000
IDLE, WAITING, OTHER = "idle-key", "waiting-key", "other-key"

LARGE = ("clients", "plans", "jobs", "repositories", "archives", "job_logs")
"""Tables that grow with the fleet."""


def fill(server: Server, numbers: range) -> None:
    """Clients with a repository, a plan and a queued backup each; they are offline, the first three are online."""
    now = server.clock()
    keys = {0: IDLE, 1: WAITING, 2: OTHER}
    rows: dict[type[peewee.Model], list[dict[str, Any]]] = {Client: [], Repository: [], Plan: [], Job: []}
    for n in numbers:
        known = {"key_hash": fingerprint(keys.get(n, f"key {n}")), "ssh_public_key": "k", "created_at": now}
        heard = now if n < len(keys) else now - timedelta(days=1)
        rows[Client].append({"id": n + 1, "name": f"c{n}", "last_heartbeat": heard, **known})
        kind = {"encryption": "none", "storage_type": "local", "path": f"p{n}", "created_at": now}
        rows[Repository].append({"id": n + 1, "client": n + 1, "name": "r", **kind})
        calendar = {"frequency": "daily", "times": "02:00", "timezone": "UTC", "next_run": now + timedelta(hours=14)}
        retention = dict.fromkeys(plans.RETENTION, 0)
        own = {"client": n + 1, "repository": n + 1}
        rows[Plan].append(
            {"id": n + 1, "name": "p", "directories": "/", "created_at": now, **own, **calendar, **retention}
        )
        status = "completed" if n == 0 else "queued"
        rows[Job].append({"task_type": "backup", "status": status, "queued_at": now, "plan": n + 1, **own})
    with server.run.database.connection_context(), server.run.database.atomic():
        for table, values in rows.items():
            for chunk in peewee.chunked(values, 1000):
                table.insert_many(chunk).execute()


@dataclass
class Costs:
    """The statements of one situation, with few clients and with many."""

    few: list[str]
    many: list[str]


def statements(server: Server) -> dict[str, list[str]]:
    """What is asked of the database in each situation that recurs all the time."""
    found = {}
    for name, key in (("a poll with nothing to do", IDLE), ("a poll that fetches work", WAITING)):
        with counting(server) as seen:
            reply = server.agent("GET", "/tasks", key)
        assert reply.status_code == 200
        assert len(reply.json["tasks"]) == (key == WAITING)
        found[name] = seen
    with counting(server) as seen:
        server.agent("POST", "/heartbeat", OTHER, {})
    found["a heartbeat"] = seen
    steps = (*worker.SCHEDULING, *worker._giving_up(since=None))
    with server.run.database.connection_context(), counting(server) as seen:
        for step in steps:
            step(server.run)
    found["a tick"] = seen
    with server.run.database.connection_context():
        assert Job.select().where(Job.status == "sent").count() == 2
        Job.update(status="queued", attempt=0, archive_name=None).where(Job.status == "sent").execute()
    return found


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Costs]:
    with make_server(tmp_path_factory.mktemp("fleet")) as server:
        server.work()
        fill(server, range(FEW))
        few = statements(server)
        fill(server, range(FEW, MANY))
        many = statements(server)
        scans = {name: _scans(server, seen) for name, seen in many.items()}
    assert scans == {name: [] for name in many}
    return {name: Costs(few[name], many[name]) for name in few}


def _scans(server: Server, seen: list[str]) -> list[str]:
    """The statements that read a large table from end to end, as SQLite plans them."""
    if not isinstance(server.run.database, peewee.SqliteDatabase):
        return []
    with server.run.database.connection_context():
        return [sql for sql in seen if _reads_all(server, sql)]


def _reads_all(server: Server, sql: str) -> bool:
    if not sql.lower().startswith(("select", "update", "delete")):
        return False
    aliases = dict(re.findall(r'"(\w+)" AS "(t\d+)"', sql))
    large = {aliases.get(table, table) for table in LARGE} | set(LARGE)
    plan = server.run.database.execute_sql(f"explain query plan {sql}", (0,) * sql.count("?")).fetchall()
    return any(match[1] in large for row in plan if (match := re.match(r"SCAN (\w+)", row[3])))


def test_nothing_is_asked_more_often_of_a_large_fleet(costs: dict[str, Costs]) -> None:
    assert {name: len(cost.many) for name, cost in costs.items()} == {
        name: len(cost.few) for name, cost in costs.items()
    }


def test_nothing_is_asked_often(costs: dict[str, Costs]) -> None:
    assert len(costs["a poll with nothing to do"].many) <= 6
    assert max(len(cost.many) for cost in costs.values()) <= 30


def test_a_poll_with_nothing_to_do_waits_for_nobody(costs: dict[str, Costs]) -> None:
    """It takes no lock for writing: thousands of agents ask all the time."""
    assert not [sql for sql in costs["a poll with nothing to do"].many if sql.upper().startswith(("BEGIN", "INSERT"))]
