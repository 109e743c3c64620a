# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts that fall silent are tried again, and what is late never overwrites what is newer."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bbs_server.models import Job
from bbs_server.scheduling import attempts, leases, queue, states
from bbs_server.server_tasks import runner

from .conftest import Server
from .test_queue import folder, job_of, make_archive, plan, poll, report, trigger

__all__ = ["plan"]  # the fixture


def begun(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A backup that an agent has begun; its job and its task."""
    job = trigger(server, client, plan)
    (task,) = poll(server, client)
    report(server, client, "progress", job_id=job)
    return job, task


def fall_silent(server: Server) -> None:
    """Nothing is heard for six minutes: the attempt is given up, and its archive looked for."""
    server.clock.forward(minutes=6)
    server.work()


def again(server: Server, client: dict[str, Any]) -> dict[str, Any]:
    """The next attempt, once its time has come."""
    server.clock.forward(hours=1)
    (task,) = poll(server, client)
    return task


def test_a_silent_backup_is_tried_again_later_and_later(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    job, first = begun(server, client, plan)
    fall_silent(server)
    shown = job_of(server, job)
    assert (shown["status"], shown["not_before"]) == ("queued", "2026-11-23 12:11:00")
    assert poll(server, client) == []

    server.clock.forward(minutes=5)
    (second,) = poll(server, client)
    assert (first["attempt"], second["attempt"], second["job_id"]) == (1, 2, job)
    assert second["archive_name"] != first["archive_name"]
    report(server, client, "progress", job_id=job)
    fall_silent(server)
    assert job_of(server, job)["not_before"] == "2026-11-23 12:27:00"
    told = [line["message"] for line in job_of(server, job)["logs"]]
    assert "(retry 1 of 3)" in told[0]
    assert "(retry 2 of 3)" in told[1]


@pytest.mark.parametrize("limit", [0, 2])
def test_after_its_last_attempt_it_fails_with_a_reason(
    server: Server, client: dict[str, Any], plan: dict[str, Any], limit: int
) -> None:
    server.call("PUT", f"/clients/{client['id']}/plans/{plan['id']}", {"retry_limit": limit})
    job, _ = begun(server, client, plan)
    for _ in range(limit):
        fall_silent(server)
        again(server, client)
        report(server, client, "progress", job_id=job)
    fall_silent(server)

    shown = job_of(server, job)
    assert (shown["status"], shown["attempt"]) == ("failed", limit + 1)
    tries = "once" if limit == 0 else "3 times"
    assert shown["error_log"].startswith("The client web01 has not been heard of about this job since ")
    assert shown["error_log"].endswith(
        f"It was tried {tries}, which is as often as it may be: look why, then retry it."
    )


def test_what_nobody_began_costs_no_retry(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    """A laptop whose lid is closed between the promotion and its poll."""
    server.call("PUT", f"/clients/{client['id']}/plans/{plan['id']}", {"retry_limit": 0})
    server.agent("POST", "/heartbeat", client["api_key"], {})
    job = trigger(server, client, plan)
    server.work()
    assert job_of(server, job)["status"] == "sent"
    fall_silent(server)

    assert (job_of(server, job)["status"], job_of(server, job)["not_before"]) == ("queued", "2026-11-23 12:06:00")
    (task,) = poll(server, client)
    assert task["attempt"] == 2


def test_an_agent_that_is_late_goes_on_with_its_attempt(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    """It was only cut off: nothing newer has begun, so what it does counts."""
    job, task = begun(server, client, plan)
    fall_silent(server)

    assert report(server, client, "progress", job_id=job)["cancel"] is False
    assert (job_of(server, job)["status"], job_of(server, job)["attempt"]) == ("running", 1)
    make_archive(server, client, task["archive_name"])
    report(server, client, "status", job_id=job, result="completed", archive_name=task["archive_name"])
    assert job_of(server, job)["status"] == "completed"


def test_a_busy_agent_is_not_given_a_second_attempt(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    """A heartbeat says that the client is there, but not that it has nothing to do."""
    job, _ = begun(server, client, plan)
    fall_silent(server)
    server.clock.forward(hours=1)
    server.agent("POST", "/heartbeat", client["api_key"], {})
    server.work()
    assert job_of(server, job)["status"] == "queued"

    report(server, client, "progress", job_id=job)
    assert (job_of(server, job)["status"], job_of(server, job)["attempt"]) == ("running", 1)


@pytest.mark.parametrize("names_attempt", [True, False])
def test_an_old_attempt_cannot_overwrite_a_newer_one(
    server: Server, client: dict[str, Any], plan: dict[str, Any], names_attempt: bool
) -> None:
    """The bundled agent names its attempt; for others the archive tells."""
    job, old = begun(server, client, plan)
    fall_silent(server)
    new = again(server, client)
    report(server, client, "progress", job_id=job, attempt=2)
    echo = {"attempt": 1} if names_attempt else {}

    make_archive(server, client, old["archive_name"])
    done = {"job_id": job, "result": "completed", "archive_name": old["archive_name"], "files_processed": 7, **echo}
    told = report(server, client, "status", **done)

    assert told["already_terminal"] is True
    assert told["archive_id"] is not None
    shown = job_of(server, job)
    assert (shown["status"], shown["archive_name"]) == ("running", new["archive_name"])
    assert shown["files_processed"] is None
    if names_attempt:
        report(server, client, "status", job_id=job, result="failed", **echo)
        assert report(server, client, "progress", job_id=job, files_processed=9, **echo)["cancel"] is True
        assert (job_of(server, job)["status"], job_of(server, job)["files_processed"]) == ("running", None)


def test_a_backup_that_could_not_report_is_known_by_its_archive(
    server: Server, client: dict[str, Any], repository: dict[str, Any], plan: dict[str, Any]
) -> None:
    job, task = begun(server, client, plan)
    make_archive(server, client, task["archive_name"])
    fall_silent(server)

    shown = job_of(server, job)
    assert (shown["status"], shown["error_log"], shown["attempt"]) == ("completed", None, 1)
    assert "its report was lost" in shown["logs"][-1]["message"]
    (archive,) = server.get(f"/clients/{client['id']}/repositories/{repository['id']}/archives")["archives"]
    assert archive["name"] == task["archive_name"]
    assert server.get(f"/clients/{client['id']}/plans/{plan['id']}")["never_backed_up"] is False
    assert server.get(f"/clients/{client['id']}/jobs")["jobs"][0]["task_type"] == "prune"
    late = report(server, client, "status", job_id=job, result="completed", archive_name=task["archive_name"])
    assert late["already_terminal"] is True


def test_its_archive_is_found_behind_the_lock_of_a_lost_agent(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    keep = {f"prune_{unit}": 0 for unit in ("minutes", "hours", "days", "weeks", "months", "years")}
    server.call("PUT", f"/clients/{client['id']}/plans/{plan['id']}", {"retry_limit": 0, **keep})
    job, task = begun(server, client, plan)
    make_archive(server, client, task["archive_name"])
    # What a borg on another host leaves behind when its machine loses power.
    (folder(server, client) / "lock.exclusive").mkdir()
    (folder(server, client) / "lock.exclusive" / "elsewhere@1.2-3").touch()
    fall_silent(server)

    assert job_of(server, job)["status"] == "completed"


def test_an_agent_that_lost_its_job_gets_it_again(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job, _ = begun(server, client, plan)
    report(server, client, "status", job_id=job, result="abandoned", attempt=1, error_log="agent stopped")
    assert job_of(server, job)["error_log"].endswith("(agent stopped)")
    server.work()
    assert again(server, client)["attempt"] == 2
    report(server, client, "status", job_id=job, result="abandoned", attempt=1)
    assert job_of(server, job)["status"] == "sent"


@pytest.mark.parametrize("task_type", ["restore", "restore_mysql", "plugin_test", "list_dir", "update_agent"])
def test_nothing_but_a_backup_is_repeated_by_itself(server: Server, client: dict[str, Any], task_type: str) -> None:
    with server.run.database.connection_context():
        now = server.clock()
        row = {"client": client["id"], "task_type": task_type, "status": "running", "attempt": 1}
        job = Job.create(queued_at=now, started_at=now, last_progress_at=now, **row)
    server.agent("POST", "/heartbeat", client["api_key"], {})
    fall_silent(server)

    assert job_of(server, job.id)["status"] == "failed"
    assert "not tried again by itself" in job_of(server, job.id)["error_log"]


def test_a_silent_job_of_a_client_that_is_there_is_given_up_in_the_end(
    server: Server, client: dict[str, Any], plan: dict[str, Any]
) -> None:
    job, _ = begun(server, client, plan)
    for _ in range(4):
        assert job_of(server, job)["status"] == "running"
        server.clock.forward(minutes=50)
        server.agent("POST", "/heartbeat", client["api_key"], {})
        server.work()
    assert job_of(server, job)["status"] == "queued"


def test_time_alone_ends_nothing(server: Server, client: dict[str, Any], plan: dict[str, Any]) -> None:
    job, _ = begun(server, client, plan)
    for number in range(12):
        server.clock.forward(hours=2.5)
        report(server, client, "progress", job_id=job, files_processed=number)
        server.work()
    assert job_of(server, job)["status"] == "running"


def check(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> int:
    job: int = server.post(f"/clients/{client['id']}/repositories/{repository['id']}/check")["job_id"]
    return job


def test_a_killed_workers_job_is_done_by_another(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    job = check(server, client, repository)
    with server.run.database.connection_context():
        claimed = queue.claim_server_job(server.run, "killed")
        assert claimed is not None
        assert queue.claim_server_job(server.run, "other") is None
        server.clock.forward(seconds=59)
        attempts.give_up_expired(server.run)
        assert Job.get_by_id(job).status == states.RUNNING
        leases.renew(server.run, "killed")
        server.clock.forward(seconds=59)
        attempts.give_up_expired(server.run)
        assert Job.get_by_id(job).status == states.RUNNING

        server.clock.forward(seconds=1)
        attempts.give_up_expired(server.run)
        assert Job.get_by_id(job).status == states.QUEUED
        server.clock.forward(minutes=5)
        assert runner.do_next(server.run, "other")
        # The first one was only frozen, and wakes up.
        assert not states.end(server.run, claimed, states.FAILED)
        assert not states.end(server.run, Job.get_by_id(job), states.FAILED)
    shown = job_of(server, job)
    assert (shown["status"], shown["attempt"]) == ("completed", 2)


def test_a_job_that_kills_its_worker_is_not_tried_for_ever(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    job = check(server, client, repository)
    with server.run.database.connection_context():
        for number in range(4):
            assert queue.claim_server_job(server.run, f"worker {number}") is not None
            server.clock.forward(hours=1)
            attempts.give_up_expired(server.run)
            server.clock.forward(hours=1)
        assert queue.claim_server_job(server.run, "the next") is None
    shown = job_of(server, job)
    assert shown["status"] == "failed"
    assert shown["error_log"].startswith("The server was stopped in the middle of this job. It was tried 4 times")


def test_leadership_passes_on_when_its_time_is_over(server: Server) -> None:
    run = server.run
    with run.database.connection_context():
        assert leases.take(run, leases.SCHEDULING, "a")
        assert not leases.take(run, leases.SCHEDULING, "b")
        assert leases.take(run, leases.UPKEEP, "b")
        server.clock.forward(seconds=59)
        leases.renew(run, "a")
        server.clock.forward(seconds=30)
        assert leases.take(run, leases.UPKEEP, "c")
        assert not leases.take(run, leases.SCHEDULING, "b")
        server.clock.forward(seconds=30)
        assert leases.take(run, leases.SCHEDULING, "b")
        assert not leases.take(run, leases.SCHEDULING, "a")
        leases.release(run, "b")
        assert leases.take(run, leases.SCHEDULING, "a")


def test_what_the_table_does_not_know_is_refused_and_logged(
    server: Server, client: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with server.run.database.connection_context(), caplog.at_level(logging.WARNING):
        row = {"client": client["id"], "task_type": "backup", "queued_at": server.clock()}
        assert not states.enter(server.run, Job.create(status="completed", **row), states.RUNNING)
        stale = Job.create(status="queued", **row)
        Job.update(attempt=1).where(Job.id == stale.id).execute()
        assert not states.enter(server.run, stale, states.SENT)

    assert "(backup) is completed and cannot become running." in caplog.text
    assert "attempt 0 is over, attempt 1 has begun." in caplog.text
