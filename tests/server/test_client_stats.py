# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client's backups in numbers (admin-api.md §5.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from . import backups
from .conftest import Server


def test_a_new_client_has_nothing_to_tell(server: Server, client: dict[str, Any]) -> None:
    assert server.get(f"/clients/{client['id']}/stats") == {
        "next_backup": None,
        "avg_duration_seconds": None,
        "sample_size": 0,
        "success_rate": {"succeeded": 0, "total": 0},
        "errors_7d": 0,
    }
    assert server.call("GET", "/clients/999/stats").status_code == 404


def test_stats_count_what_happened(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc"}
    server.post(f"/clients/{client['id']}/plans", body)
    now = server.clock()
    for status, days, seconds in (("completed", 0, 10), ("completed", 1, 21), ("failed", 2, 5), ("failed", 40, 5)):
        done = now - timedelta(days=days)
        backups.add_job(server, client["id"], status=status, completed_at=done, duration_seconds=seconds)
    backups.add_job(server, client["id"], task_type="prune", status="failed", completed_at=now)

    assert server.get(f"/clients/{client['id']}/stats") == {
        "next_backup": {"at": "2026-11-24 02:00:00", "plan_name": "nightly"},
        "avg_duration_seconds": 16,
        "sample_size": 2,
        "success_rate": {"succeeded": 2, "total": 3},
        "errors_7d": 2,
    }
