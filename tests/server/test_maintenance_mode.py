# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode (admin-api.md §6, agent-protocol.md §8, §9)."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.services import audit

from .conftest import Server


@pytest.fixture
def plan(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> str:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "frequency": "hourly"}
    created = server.post(f"/clients/{client['id']}/plans", body)
    return f"/clients/{client['id']}/plans/{created['id']}"


def test_it_is_turned_on_and_off(server: Server) -> None:
    assert server.get("/maintenance") == {"enabled": False}
    for on in (True, True, False, False):
        assert server.post("/maintenance", {"enabled": on}) == {"enabled": on}
        assert server.get("/maintenance") == {"enabled": on}
    assert [row["action"] for row in server.get("/log?level=warning")["log"]] == ["maintenance"] * 2


def test_backups_wait_and_updates_pass(server: Server, client: dict[str, Any], plan: str) -> None:
    server.post("/maintenance", {"enabled": True})
    server.post(f"{plan}/trigger")
    server.post(f"/clients/{client['id']}/upgrade-agent")

    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert task["task"] == "update_agent"

    server.post("/maintenance", {"enabled": False})
    tasks = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert [task["task"] for task in tasks] == ["backup", "update_agent"]


def test_what_became_due_runs_once_afterwards(server: Server, plan: str) -> None:
    server.post("/maintenance", {"enabled": True})
    server.clock.forward(hours=5)
    server.work()
    assert server.get("/queue")["count"] == 0

    server.post("/maintenance", {"enabled": False})
    server.work()
    server.work()
    assert server.get("/queue")["count"] == 1


@pytest.mark.parametrize("body", [{}, {"enabled": None}, {"enabled": "perhaps"}, {"enabled": {}}])
def test_a_bad_switch_is_refused(server: Server, body: Any) -> None:
    reply = server.call("POST", "/maintenance", body)

    assert reply.status_code == 400
    assert reply.json["error"].startswith("enabled: ")


def test_a_failure_in_the_middle_changes_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)

    assert server.call("POST", "/maintenance", {"enabled": True}).status_code == 500
    assert server.get("/maintenance") == {"enabled": False}


def test_rights(server: Server) -> None:
    token = server.mint("p", scope="provision")
    assert server.call("GET", "/maintenance", token=token).status_code == 200
    assert server.call("POST", "/maintenance", {"enabled": True}, token=token).status_code == 403
