# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs that were cancelled while their agent was at work (agent-protocol.md §5.5, §9)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Server
from .test_queue import job_of, plan, poll, report, trigger

__all__ = ["plan"]  # the fixture


@pytest.fixture
def cancelled(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> int:
    """A backup that was cancelled while borg ran."""
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "progress", job_id=job)
    server.post(f"/queue/{job}/cancel")
    return job


def task_types(server: Server, client: dict[str, Any]) -> list[str]:
    return [job["task_type"] for job in server.get(f"/clients/{client['id']}/jobs")["jobs"]]


def test_a_heartbeat_tells_what_was_cancelled(server: Server, client: dict[str, Any], cancelled: int) -> None:
    assert report(server, client, "heartbeat")["cancel_job"] == cancelled

    report(server, client, "status", job_id=cancelled, result="failed")
    assert "cancel_job" not in report(server, client, "heartbeat")


def test_the_repository_stays_in_use_until_the_agent_has_stopped(
    server: Server, client: dict[str, Any], plan: dict[str, Any], cancelled: int
) -> None:
    again = trigger(server, client, plan)
    assert poll(server, client) == []

    report(server, client, "status", job_id=cancelled, result="failed")
    server.work()
    assert [task["job_id"] for task in poll(server, client)] == [again]


def test_the_last_report_twice_breaks_one_lock(server: Server, client: dict[str, Any], cancelled: int) -> None:
    for _ in range(2):
        report(server, client, "status", job_id=cancelled, result="failed")
        server.work()

    assert task_types(server, client) == ["break_lock", "backup"]


def test_a_cancelled_job_of_a_vanished_client_frees_its_repository(
    server: Server, client: dict[str, Any], cancelled: int
) -> None:
    server.clock.forward(minutes=4)
    server.work()
    assert task_types(server, client) == ["backup"]

    server.clock.forward(minutes=2)
    server.work()
    assert task_types(server, client) == ["break_lock", "backup"]
    assert job_of(server, cancelled)["status"] == "cancelled"


def test_an_agent_that_was_restarted_is_asked_about_a_cancelled_job(
    server: Server, client: dict[str, Any], cancelled: int
) -> None:
    server.clock.forward(minutes=11)

    assert server.agent("GET", "/tasks", client["api_key"]).json["check_jobs"] == [cancelled]
    report(server, client, "status", job_id=cancelled, result="abandoned")
    assert task_types(server, client) == ["break_lock", "backup"]
