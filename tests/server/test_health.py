# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the server says that it is well (admin-api.md §6)."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from . import backups
from .conftest import Server


def test_a_server_whose_worker_never_ran_is_critical(server: Server) -> None:
    reply = server.call("GET", "/health", token=server.mint("reader", scope="read"))

    assert reply.status_code == 503
    assert reply.json["status"] == "critical"
    assert reply.json["problems"][0].startswith("scheduler: The worker has never run")
    assert list(reply.json["checks"]) == [
        "database",
        "scheduler",
        "storage",
        "catalog",
        "clients",
        "backups",
        "maintenance",
    ]


def test_a_working_server_is_well_until_its_worker_falls_silent(server: Server) -> None:
    server.work()
    report = server.get("/health")
    assert report["checks"]["scheduler"] == {
        "status": "ok",
        "message": "Running",
        "last_run": "2026-11-23 12:00:00",
        "seconds_ago": 0,
    }
    assert report["checked_at"] == "2026-11-23T12:00:00+00:00"
    assert report["checks"]["maintenance"] == {"status": "ok", "message": "Off", "enabled": False}

    server.clock.forward(minutes=4)
    assert server.call("GET", "/health").status_code == 503
    server.work()
    assert server.call("GET", "/health").status_code == 200


def test_a_worker_busy_with_a_long_check_is_not_silent(server: Server, client: dict[str, Any]) -> None:
    server.work()
    backups.add_job(server, client["id"], task_type="repo_check", status="running", started_at=server.clock())

    server.clock.forward(minutes=30)
    assert server.call("GET", "/health").status_code == 200
    server.clock.forward(hours=24)
    assert server.call("GET", "/health").status_code == 503


def test_what_is_wrong_is_told(
    server: Server, client: dict[str, Any], repository: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    server.post(f"/clients/{client['id']}/plans", {**body, "name": "w", "frequency": "weekly", "day_of_week": 1})
    backups.add_job(server, client["id"], plan=plan["id"], completed_at=server.clock())
    server.agent("POST", "/heartbeat", client["api_key"], {})
    server.clock.forward(hours=49)
    server.post("/maintenance", {"enabled": True})
    server.work()

    report = server.get("/health")

    assert report["status"] == "warning"
    checks = report["checks"]
    assert checks["clients"]["counts"] == {"online": 0, "offline": 1, "error": 0, "setup": 0}
    late = {"client_id": client["id"], "name": "web01", "last_backup": "2026-11-23 12:00:00"}
    assert (checks["backups"]["overdue_clients"], checks["backups"]["overdue"]) == (1, [late])
    assert checks["maintenance"]["enabled"] is True
    assert {problem.split(":")[0] for problem in report["problems"]} == {"backups", "maintenance"}


def test_missing_storage_is_critical(server: Server) -> None:
    server.work()
    shutil.rmtree(server.run.settings.storage)

    reply = server.call("GET", "/health")

    assert reply.status_code == 503
    assert "Cannot be used" in reply.json["checks"]["storage"]["message"]
