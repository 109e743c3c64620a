# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker does without being asked, and how it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bbs_server.models import Job
from bbs_server.scheduling import states, worker

from .conftest import Server


def deleted(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    """An archive was deleted a moment ago."""
    with server.run.database.connection_context():
        Job.create(
            client=client["id"],
            repository=repository["id"],
            task_type="archive_delete",
            status=states.COMPLETED,
            queued_at=server.clock(),
            started_at=server.clock(),
            completed_at=server.clock(),
        )


def compactions(server: Server, client: dict[str, Any]) -> list[str]:
    jobs = server.get(f"/clients/{client['id']}/jobs")["jobs"]
    return [job["status"] for job in jobs if job["task_type"] == "compact"]


def test_space_of_deleted_archives_is_freed_on_saturday(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    server.work()
    deleted(server, client, repository)
    deleted(server, client, repository)
    server.clock.forward(days=4, hours=13)  # Saturday, 01:00
    server.work()
    assert compactions(server, client) == []

    server.clock.forward(hours=1)
    server.work()
    server.work()
    assert compactions(server, client) == ["completed"]

    server.clock.forward(days=7)
    server.work()
    assert compactions(server, client) == ["completed"]


def test_a_missed_saturday_is_made_up_for(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    server.work()
    deleted(server, client, repository)
    server.clock.forward(days=30)
    server.work()

    assert compactions(server, client) == ["completed"]


@pytest.mark.parametrize("loop", ["UPKEEP", "SCHEDULING"])
def test_a_worker_with_a_broken_loop_ends(server: Server, monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    def broken(_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(worker, loop, (broken,))
    with pytest.raises(RuntimeError, match="broke"):
        worker.work(server.run, threading.Event())
