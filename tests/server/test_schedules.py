# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules over all clients (admin-api.md §5.4)."""

from __future__ import annotations

from typing import Any

from . import backups
from .conftest import Server


def test_schedules_tell_what_plans_do(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    assert server.get("/schedules") == {"schedules": []}
    path = f"/clients/{client['id']}/plans"
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc", "timezone": "Europe/Berlin"}
    plan = server.post(path, body)
    server.post(path, {**body, "name": "by hand", "frequency": "manual"})
    done = {"plan": plan["id"], "completed_at": server.clock()}
    backups.add_job(server, client["id"], status="failed", **done)
    backups.add_job(server, client["id"], **done)
    server.call("POST", f"{path}/{plan['id']}/pause")

    manual, nightly = server.get("/schedules", token=server.mint("reader", scope="read"))["schedules"]

    assert manual["plan_name"] == "by hand"
    assert (manual["schedule_enabled"], manual["last_status"]) == (False, None)
    assert nightly == {
        "plan_id": plan["id"],
        "plan_name": "nightly",
        "plan_enabled": True,
        "agent_id": client["id"],
        "agent_name": "web01",
        "agent_status": "setup",
        "repository_id": repository["id"],
        "repository_name": "main",
        "frequency": "daily",
        "times": "02:00",
        "day_of_week": None,
        "day_of_month": None,
        "timezone": "Europe/Berlin",
        "schedule_enabled": False,
        "next_run": None,
        "last_run": None,
        "last_status": "completed",
        "last_completed_at": "2026-11-23 12:00:00",
        "last_success": "2026-11-23 12:00:00",
        "stale": False,
        "never_backed_up": False,
    }
    server.call("POST", f"{path}/{plan['id']}/resume")
    armed = server.get("/schedules")["schedules"][1]
    assert (armed["schedule_enabled"], armed["next_run"]) == (True, "2026-11-24 01:00:00")
