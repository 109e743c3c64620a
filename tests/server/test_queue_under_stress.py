# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold when things happen at the same time, late, or after somebody's mischief."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bbs_server.models import Client, Job, Plan
from bbs_server.scheduling import queue
from bbs_server.secrets import fingerprint
from bbs_server.services import agents, clients, plans

from .conftest import Server
from .test_queue import folder, job_of, make_archive, plan, poll, report, trigger

__all__ = ["plan"]  # the fixture


def test_a_time_that_comes_again_holds_nobody_up(
    server: Server, client: dict[str, Any], repository: dict[str, Any], plan: dict[str, Any]
) -> None:
    body = {"name": "later", "repository_id": repository["id"], "directories": "/srv", "times": "13:30"}
    later = server.post(f"/clients/{client['id']}/plans", body)
    server.clock.forward(hours=1)
    server.work()
    with server.run.database.connection_context():
        Job.update(status="completed").execute()
        Plan.update(next_run=server.clock(), next_due=server.clock()).where(Plan.id == plan["id"]).execute()
    server.clock.forward(hours=1)
    server.work()

    queued = server.get(f"/clients/{client['id']}/jobs")["jobs"]
    assert sorted(job["plan_name"] for job in queued) == ["later", "nightly"]
    for made in (plan, later):
        assert server.get(f"/clients/{client['id']}/plans/{made['id']}")["next_run"].startswith("2026-11-24")


@pytest.mark.slow
def test_plans_are_queued_while_others_write(
    server: Server,
    client: dict[str, Any],
    repository: dict[str, Any],
    plan: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = {"name": "second", "repository_id": repository["id"], "directories": "/srv", "times": "13:00"}
    server.post(f"/clients/{client['id']}/plans", body)
    queue_one = queue._queue_due_plan

    def queue_after_another(*arguments: Any) -> bool:
        other = threading.Thread(target=server.agent, args=("POST", "/heartbeat", client["api_key"], {}))
        other.start()
        other.join()
        return queue_one(*arguments)

    monkeypatch.setattr(queue, "_queue_due_plan", queue_after_another)
    server.clock.forward(hours=1)
    with server.run.database.connection_context():
        assert queue.queue_due_plans(server.run) == 2


def test_a_change_does_not_bring_back_a_time_that_was_queued_meanwhile(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    with server.run.database.connection_context():
        row = Client.get_by_id(client["id"])
        stale = plans.find(row, plan["id"])
    server.clock.forward(hours=1)
    server.work()
    with server.run.database.connection_context():
        plans.update(server.run, row, stale, {"prune_days": 1})

    assert server.get(f"/clients/{client['id']}/plans/{plan['id']}")["next_run"] == "2026-11-24 13:00:00"


def test_a_registration_does_not_bring_back_a_replaced_key(server: Server, client: dict[str, Any]) -> None:
    with server.run.database.connection_context():
        stale = Client.get_by_id(client["id"])
        rotated = clients.rotate_key(server.run, Client.get_by_id(client["id"]))
        agents.register(server.run, stale, {"hostname": "web01"}, fingerprint(client["api_key"]))

    assert server.agent("POST", "/heartbeat", client["api_key"], {}).status_code == 401
    assert server.agent("POST", "/heartbeat", rotated["api_key"], {}).status_code == 200
    assert server.get(f"/clients/{client['id']}")["api_key"] == rotated["api_key"]


def test_an_agent_cannot_end_the_servers_own_jobs(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    job = server.post(f"/clients/{client['id']}/repositories/{repository['id']}/check")["job_id"]

    for kind, body in (("status", {"result": "completed"}), ("progress", {})):
        reply = server.agent("POST", f"/{kind}", client["api_key"], {"job_id": job, **body})
        assert reply.status_code == 404
    assert job_of(server, job)["status"] == "queued"


def test_a_backup_that_was_given_up_too_early_is_on_record(
    server: Server, client: dict[str, Any], repository: dict[str, Any], plan: dict[str, Any]
) -> None:
    job = trigger(server, client, plan)
    (task,) = poll(server, client)
    server.clock.forward(minutes=6)
    server.work()
    assert job_of(server, job)["status"] == "queued"

    told = report(server, client, "status", job_id=job, result="completed", archive_name=task["archive_name"])
    assert job_of(server, job)["status"] == "completed"
    assert told["archive_id"] is not None
    (archive,) = server.get(f"/clients/{client['id']}/repositories/{repository['id']}/archives")["archives"]
    assert archive["name"] == task["archive_name"]


def test_a_lock_is_broken_only_when_the_agent_has_stopped(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "progress", job_id=job)
    server.post(f"/queue/{job}/cancel")
    server.work()
    assert server.get(f"/clients/{client['id']}/jobs")["total"] == 1

    report(server, client, "status", job_id=job, result="failed", error_log="cancelled")
    assert server.get(f"/clients/{client['id']}/jobs")["jobs"][0]["task_type"] == "break_lock"


def test_updates_need_no_slot(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    with server.run.database.connection_context():
        for _ in range(server.run.settings.max_queue):
            Job.create(client=client["id"], task_type="restore", status="running", queued_at=server.clock())
    trigger(server, client, plan)
    server.agent("POST", "/heartbeat", client["api_key"], {})
    server.post(f"/clients/{client['id']}/upgrade-agent")

    assert [task["task"] for task in poll(server, client)] == ["update_agent"]


def test_the_trash_keeps_what_is_still_on_record(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    trash = server.run.settings.storage / ".trash"
    trash.mkdir()
    (trash / "a file of somebody's").touch()
    cut_off = trash / f"20200101T000000Z-0123abcd-{client['id']}-main"
    folder(server, client).rename(cut_off)
    (trash / "20200101T000000Z-0123abcd-999-gone").mkdir()
    server.work()

    assert sorted(path.name for path in trash.iterdir()) == [cut_off.name, "a file of somebody's"]


@pytest.mark.parametrize("mischief", [False, True])
def test_pruning_frees_space_unless_archives_vanished(
    server: Server, client: dict[str, Any], plan: dict[str, Any], mischief: bool
) -> None:
    first = backed_up(server, client, plan)
    if mischief:
        server.run.borg.run(["delete", f"{folder(server, client)}::{first}"], None)
    server.clock.forward(minutes=1)
    backed_up(server, client, plan)

    pruned = next(job for job in server.get(f"/clients/{client['id']}/jobs")["jobs"] if job["task_type"] == "prune")
    log = "\n".join(line["message"] for line in job_of(server, pruned["id"])["logs"])
    assert (f"Not compacted: {first} vanished" in log) == mischief


def backed_up(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> str:
    """A whole backup with the prune after it; the name of its archive."""
    job = trigger(server, client, plan)
    (task,) = poll(server, client)
    name: str = task["archive_name"]
    make_archive(server, client, name)
    report(server, client, "status", job_id=job, result="completed", archive_name=name)
    server.work()
    return name
