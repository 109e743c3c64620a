# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a due plan to a finished job, played by an agent's requests (agent-protocol.md §5, §8, §9)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bbs_server.models import Job, Plan
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.server_tasks import runner
from bbs_server.services import plan_times

from .conftest import Server


@pytest.fixture
def plan(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> dict[str, Any]:
    """A plan that runs every day at 13:00, an hour after the tests begin."""
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc", "times": "13:00"}
    made: dict[str, Any] = server.post(f"/clients/{client['id']}/plans", body)
    return made


def poll(server: Server, client: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    return found


def report(server: Server, client: dict[str, Any], kind: str, **body: Any) -> Any:
    reply = server.agent("POST", f"/{kind}", client["api_key"], body)
    assert reply.status_code == 200, reply.text
    return reply.json


def trigger(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> int:
    job: int = server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")["job_id"]
    return job


def job_of(server: Server, job_id: int) -> Any:
    return server.get(f"/jobs/{job_id}")


def test_a_due_plan_becomes_a_task_with_all_that_borg_needs(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    server.clock.forward(minutes=59)
    server.work()
    assert poll(server, client) == []

    server.clock.forward(minutes=1)
    server.work()
    (task,) = poll(server, client)

    assert task["task"] == "backup"
    assert task["archive_name"] == f"plan{plan['id']}-2026-11-23_13-00-00"
    assert task["command"] == [
        "borg", "create", "--json", "--log-json", "--list", "--progress", "--lock-wait=600", "--compression=lz4",
        "--exclude-caches", "--noatime", f"ssh://bbs@bbs.example/./main::{task['archive_name']}", "/etc",
    ]  # fmt: skip
    assert "-p 2222" in task["env"]["BORG_RSH"]
    assert "BORG_PASSPHRASE" not in task["env"]
    assert (task["client_name"], task["plan_name"]) == ("web01", "nightly")


def test_a_time_is_queued_once_however_often_workers_look(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    server.clock.forward(hours=1)
    for _ in range(3):
        server.work()

    shown = server.get(f"/clients/{client['id']}/plans/{plan['id']}")
    assert shown["next_run"] == "2026-11-24 13:00:00"
    assert shown["last_run"] == "2026-11-23 13:00:00"
    assert server.get(f"/clients/{client['id']}/jobs")["total"] == 1


def test_a_plan_that_cannot_be_queued_holds_up_no_other(
    server: Server, client: dict[str, Any], plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"name": "other", "repository_id": plan["repository_id"], "directories": "/etc", "times": "13:00"}
    other = server.post(f"/clients/{client['id']}/plans", body)
    upcoming = plan_times.upcoming

    def failing(run: Runtime, found: Plan, after: datetime) -> Any:
        if found.id == plan["id"]:
            raise ValueError
        return upcoming(run, found, after)

    server.clock.forward(hours=1)
    with monkeypatch.context() as patched:
        patched.setattr(plan_times, "upcoming", failing)
        server.work()
    assert queued_plans(server) == {other["id"]}

    server.work()
    assert queued_plans(server) == {plan["id"], other["id"]}


def queued_plans(server: Server) -> set[int]:
    with server.run.database.connection_context():
        return {job.plan_id for job in Job.select()}


def test_missed_times_run_once_and_then_follow_the_calendar(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    server.clock.forward(days=5)
    server.work()

    assert server.get(f"/clients/{client['id']}/jobs")["total"] == 1
    assert server.get(f"/clients/{client['id']}/plans/{plan['id']}")["next_run"] == "2026-11-28 13:00:00"


def test_a_task_is_told_until_the_agent_reports(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job = trigger(server, client, plan)
    first, second = poll(server, client), poll(server, client)
    assert first == second

    assert report(server, client, "progress", job_id=job, status_message="Starting") == {
        "status": "ok",
        "cancel": False,
    }
    assert poll(server, client) == []
    assert job_of(server, job)["status"] == "running"


def test_a_completed_backup_is_recorded_and_pruned(
    server: Server, client: dict[str, Any], repository: dict[str, Any], plan: dict[str, Any]
) -> None:
    job = trigger(server, client, plan)
    (task,) = poll(server, client)
    make_archive(server, client, task["archive_name"])
    done = {"job_id": job, "result": "completed", "archive_name": task["archive_name"], "files_processed": 3}
    server.clock.forward(seconds=42)

    first = report(server, client, "status", **done)
    again = report(server, client, "status", **done)

    assert again == {"status": "ok", "already_terminal": True, "archive_id": first["archive_id"]}
    shown = job_of(server, job)
    assert (shown["status"], shown["files_processed"], shown["duration_seconds"]) == ("completed", 3, 0)
    server.work()
    (prune, _) = server.get(f"/clients/{client['id']}/jobs")["jobs"]
    assert (prune["task_type"], prune["status"]) == ("prune", "completed")
    path = f"/clients/{client['id']}/repositories/{repository['id']}"
    assert server.get(path)["archive_count"] == 1
    assert server.get(path)["size_bytes"] > 0


def test_prune_takes_only_the_plans_own_archives(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    server.call(
        "PUT", f"/clients/{client['id']}/plans/{plan['id']}", {"prune_days": 1, "prune_weeks": 0, "prune_months": 0}
    )
    for name in ("other-1", "other-2", f"plan{plan['id']}-2026-01-01", f"plan{plan['id']}0-2026-01-01"):
        make_archive(server, client, name)
    job = trigger(server, client, plan)
    (task,) = poll(server, client)
    make_archive(server, client, task["archive_name"])
    report(server, client, "status", job_id=job, result="completed", archive_name=task["archive_name"])
    server.work()

    left = server.run.borg.run(["list", "--short", str(folder(server, client))], None).split()
    assert set(left) == {"other-1", "other-2", f"plan{plan['id']}0-2026-01-01", task["archive_name"]}


def test_all_zero_retention_keeps_everything(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    zero = {f"prune_{unit}": 0 for unit in ("minutes", "hours", "days", "weeks", "months", "years")}
    server.call("PUT", f"/clients/{client['id']}/plans/{plan['id']}", zero)
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "status", job_id=job, result="completed", archive_name="plan-x")

    assert server.get(f"/clients/{client['id']}/jobs")["total"] == 1


def test_failures_keep_the_agents_words(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "status", job_id=job, result="failed", error_log="No space left on device")

    shown = job_of(server, job)
    assert (shown["status"], shown["error_log"]) == ("failed", "No space left on device")
    again = server.post(f"/queue/{job}/retry")["job_id"]
    assert job_of(server, again)["parent_job_id"] == job
    assert server.call("POST", f"/queue/{again}/retry").status_code == 409


def test_cancel_reaches_the_agent_and_frees_the_repository(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "progress", job_id=job)

    server.post(f"/queue/{job}/cancel")
    assert report(server, client, "progress", job_id=job)["cancel"] is True
    assert report(server, client, "status", job_id=job, result="failed")["already_terminal"] is True
    assert job_of(server, job)["status"] == "cancelled"
    assert server.call("POST", f"/queue/{job}/cancel").status_code == 409

    server.work()
    (unlock, _) = server.get(f"/clients/{client['id']}/jobs")["jobs"]
    assert (unlock["task_type"], unlock["status"]) == ("break_lock", "completed")


def test_jobs_of_offline_clients_wait_without_holding_slots(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    job = trigger(server, client, plan)
    server.work()
    assert job_of(server, job)["status"] == "queued"
    assert job_of(server, job)["queue"] == {"active": 0, "max": 4, "position": 1}

    assert len(poll(server, client)) == 1


def test_one_job_at_a_time_works_on_a_repository(
    server: Server, client: dict[str, Any], repository: dict[str, Any], plan: dict[str, Any]
) -> None:
    body = {"name": "second", "repository_id": repository["id"], "directories": "/srv"}
    second = server.post(f"/clients/{client['id']}/plans", body)
    first_job, second_job = trigger(server, client, plan), trigger(server, client, second)

    assert [task["job_id"] for task in poll(server, client)] == [first_job]
    report(server, client, "status", job_id=first_job, result="failed")
    assert [task["job_id"] for task in poll(server, client)] == [second_job]


def test_the_queue_lets_through_as_many_as_it_may(server: Server, client: dict[str, Any]) -> None:
    base = f"/clients/{client['id']}"
    for number in range(6):
        made = server.post(f"{base}/repositories", {"name": f"r{number}", "encryption": "none"})
        body = {"name": f"p{number}", "repository_id": made["id"], "directories": "/etc"}
        trigger(server, client, server.post(f"{base}/plans", body))

    assert len(poll(server, client)) == 4
    assert server.get("/queue")["slots"] == {"active": 4, "max": 4}
    assert server.get("/queue")["count"] == 6


def test_a_client_that_vanished_loses_its_job(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "progress", job_id=job)
    server.clock.forward(minutes=4)
    server.work()
    assert job_of(server, job)["status"] == "running"

    server.clock.forward(minutes=2)
    server.work()
    assert job_of(server, job)["status"] == "queued"
    assert "has not been heard of" in job_of(server, job)["error_log"]


def test_silent_jobs_are_asked_about_and_given_up(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job = trigger(server, client, plan)
    poll(server, client)
    report(server, client, "progress", job_id=job)
    server.clock.forward(minutes=11)

    assert server.agent("GET", "/tasks", client["api_key"]).json["check_jobs"] == [job]
    assert report(server, client, "status", job_id=job, result="abandoned") == {"status": "ok"}
    assert job_of(server, job)["status"] == "queued"
    assert "does not know this job" in job_of(server, job)["error_log"]


def test_another_clients_job_is_not_found(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job = trigger(server, client, plan)
    other = server.post("/clients", {"name": "web02"})

    for kind, body in (("progress", {}), ("status", {"result": "completed"})):
        reply = server.agent("POST", f"/{kind}", other["api_key"], {"job_id": job, **body})
        assert reply.status_code == 404


def test_a_job_whose_plan_is_gone_fails_with_a_reason(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    job = trigger(server, client, plan)
    server.call("DELETE", f"/clients/{client['id']}/plans/{plan['id']}")

    assert poll(server, client) == []
    assert job_of(server, job)["status"] == "failed"
    assert "was deleted" in job_of(server, job)["error_log"]


def test_a_job_whose_options_borg_does_not_take_fails_with_a_reason(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    from bbs_server.models import Plan

    with server.run.database.connection_context():
        Plan.update(advanced_options="--compression zstdd").execute()  # stored by an earlier version
    job = trigger(server, client, plan)

    assert poll(server, client) == []
    assert "--compression 'zstdd' must be none, lz4" in job_of(server, job)["error_log"]


def test_every_state_leads_only_where_the_table_says(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    from bbs_server.models import Job

    with server.run.database.connection_context():
        for before in states.ALL:
            for after in states.ALL:
                job = Job.create(client=client["id"], task_type="backup", status=before, queued_at=server.clock())
                assert states.enter(server.run, job, after) == (after in states.TRANSITIONS[before]), (before, after)


def test_an_unknown_server_task_fails_instead_of_staying(
    server: Server, client: dict[str, Any], repository: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bbs_server.models import Job

    monkeypatch.setattr(runner, "_ACTIONS", {})
    with server.run.database.connection_context():
        job = Job.create(
            client=client["id"],
            repository=repository["id"],
            task_type="compact",
            status="queued",
            queued_at=server.clock() - timedelta(seconds=1),
        )
    server.work()
    assert job_of(server, job.id)["status"] == "failed"


def folder(server: Server, client: dict[str, Any]) -> Any:
    return server.run.settings.storage / str(client["id"]) / "main"


def make_archive(server: Server, client: dict[str, Any], name: str) -> None:
    """What borg leaves behind when an agent has backed up."""
    source = server.run.settings.directory / "bbs.sqlite"
    server.run.borg.run(["create", f"{folder(server, client)}::{name}", str(source)], None)
