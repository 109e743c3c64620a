# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may start when many wait: limits, classes, and first in, first out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bbs_server.models import Client, Job, Repository, StorageLocation
from bbs_server.scheduling import queue, states
from bbs_server.secrets import fingerprint

from .conftest import Server, make_server

SERVER = Path(states.__file__).parents[1]


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Server]:
    """A server with three slots, one for each storage location."""
    with make_server(tmp_path, max_queue=3, max_queue_per_location=1) as made:
        yield made


class Fleet:
    """Clients with one repository and one queued job each, in a storage location of one's choice."""

    def __init__(self, server: Server, locations: int = 1) -> None:
        self.server = server
        with server.run.database.connection_context():
            now = server.clock()
            self.locations = [
                StorageLocation.create(label=f"l{n}", path=f"/l{n}", created_at=now) for n in range(locations)
            ]

    def job(self, location: int = 0, *, task_type: str = "backup", online: bool = True) -> int:
        """Another client with a job, queued a second after the last; returns the job's id."""
        self.server.clock.forward(seconds=1)
        now = self.server.clock()
        with self.server.run.database.connection_context():
            number = Client.select().count()
            known = {"key_hash": fingerprint(f"key {number}"), "ssh_public_key": "k", "created_at": now}
            heard = now if online else now - timedelta(days=1)
            client = Client.create(name=f"c{number}", last_heartbeat=heard, **known)
            kind = {"encryption": "none", "storage_type": "local", "path": f"p{number}", "created_at": now}
            where = self.locations[location]
            repository = Repository.create(client=client, name="r", storage_location=where, **kind)
            row = {"client": client, "repository": repository, "task_type": task_type, "status": "queued"}
            return int(Job.create(queued_at=now, **row).id)

    def promoted(self) -> list[int]:
        """The jobs that are at an agent after a round."""
        with self.server.run.database.connection_context():
            queue.promote(self.server.run)
            return [job.id for job in Job.select().where(Job.status == states.SENT).order_by(Job.id)]

    def claimed(self) -> int | None:
        with self.server.run.database.connection_context():
            job = queue.claim_server_job(self.server.run, "worker")
            return job.id if job else None

    def end(self, job: int) -> None:
        with self.server.run.database.connection_context():
            assert states.end(self.server.run, Job.get_by_id(job), states.FAILED)


def test_a_location_takes_as_many_as_it_may_and_leaves_slots_to_others(narrow: Server) -> None:
    fleet = Fleet(narrow, locations=2)
    first, second, third = fleet.job(0), fleet.job(0), fleet.job(1)

    assert fleet.promoted() == [first, third]
    fleet.end(first)
    assert fleet.promoted() == [second, third]


def test_server_work_has_a_limit_of_its_own_in_each_location(narrow: Server) -> None:
    fleet = Fleet(narrow, locations=2)
    backup = fleet.job(0)
    checks = [fleet.job(0, task_type="repo_check"), fleet.job(0, task_type="repo_check")]
    elsewhere = fleet.job(1, task_type="repo_check")

    assert fleet.promoted() == [backup]
    assert [fleet.claimed(), fleet.claimed(), fleet.claimed()] == [checks[0], elsewhere, None]
    fleet.end(checks[0])
    assert fleet.claimed() == checks[1]


def test_no_class_starves_another(narrow: Server) -> None:
    """Thirty jobs of clients that are away, and five that do not fit, stand before the last of each."""
    fleet = Fleet(narrow, locations=3)
    for _ in range(30):
        fleet.job(0, online=False)
    for _ in range(5):
        fleet.job(0)
    check, update = fleet.job(1, task_type="repo_check"), fleet.job(2, task_type="update_agent")
    backup = fleet.job(2)

    assert {update, backup} <= set(fleet.promoted())
    assert fleet.claimed() == check


def test_a_slot_is_not_kept_by_a_client_that_went_away(server: Server) -> None:
    fleet = Fleet(server)
    away = [fleet.job() for _ in range(server.run.settings.max_queue)]
    assert fleet.promoted() == away
    server.clock.forward(minutes=2)
    waiting = fleet.job()

    assert waiting in fleet.promoted()


def test_first_in_first_out(server: Server) -> None:
    fleet = Fleet(server)
    waiting = [fleet.job() for _ in range(8)]
    assert fleet.promoted() == waiting[:4]
    for job in waiting[:4]:
        fleet.end(job)
    assert fleet.promoted() == waiting[4:]


def test_two_workers_never_get_the_same_job(server: Server) -> None:
    fleet = Fleet(server)
    waiting = [fleet.job(task_type="repo_check") for _ in range(6)]
    assert [fleet.claimed() for _ in range(7)] == [*waiting, None]


def test_only_one_place_writes_states() -> None:
    """Elsewhere a state is only set when a job is made."""
    writing = re.compile(r"\.update\([^)]*\bstatus=|\.status = ")
    found = [
        str(file.relative_to(SERVER))
        for file in SERVER.rglob("*.py")
        if "migrations" not in file.parts and any(writing.search(part) for part in _job_statements(file))
    ]
    assert found == ["scheduling/states.py"]


def _job_statements(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8")
    return re.findall(r"Job\.update\(.{0,200}|job\.status = ", text, re.DOTALL)


def plan_of(server: Server, client: dict[str, Any], repository: dict[str, Any], **options: Any) -> str:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "times": "13:00", **options}
    made = server.post(f"/clients/{client['id']}/plans", body)
    return f"/clients/{client['id']}/plans/{made['id']}"


def test_a_client_that_was_away_for_days_runs_once_and_follows_the_calendar(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    path = plan_of(server, client, repository)
    for _ in range(5):
        server.clock.forward(days=1)
        server.work()
    assert server.get(f"/clients/{client['id']}/jobs")["total"] == 1

    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    done = {"job_id": task["job_id"], "result": "failed"}
    server.agent("POST", "/status", client["api_key"], done)
    assert server.agent("GET", "/tasks", client["api_key"]).json["tasks"] == []
    assert server.get(path)["next_run"] == "2026-11-28 13:00:00"


def test_pause_and_resume_keep_the_calendar(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    path = plan_of(server, client, repository, frequency="weekly", day_of_week=2)
    server.post(f"{path}/pause")
    server.clock.forward(days=8)
    server.work()
    server.post(f"{path}/resume")
    server.work()

    assert server.get(f"/clients/{client['id']}/jobs")["total"] == 0
    assert server.get(path)["next_run"] == "2026-12-01 13:00:00"


def test_a_poll_behind_a_long_queue_takes_no_lock(narrow: Server) -> None:
    fleet = Fleet(narrow, locations=3)
    jobs = [fleet.job(n % 3) for n in range(6)]
    update = fleet.job(task_type="update_agent")
    assert fleet.promoted() == [*jobs[:3], update]
    seen: list[str] = []
    execute = narrow.run.database.execute_sql

    def noting(sql: str, *rest: Any) -> Any:
        seen.append(sql.split()[0])
        return execute(sql, *rest)

    narrow.run.database.execute_sql = noting  # type: ignore[method-assign]
    last = len(jobs) - 1
    assert narrow.agent("GET", "/tasks", f"key {last}").json["tasks"] == []  # type: ignore[index]
    assert seen == ["SELECT", "UPDATE", "SELECT", "SELECT"], "the key, the heartbeat, own jobs, slots in use"


def test_an_update_needs_no_slot_and_no_round_of_the_worker(narrow: Server) -> None:
    fleet = Fleet(narrow, locations=3)
    for n in range(3):
        fleet.job(n)
    assert len(fleet.promoted()) == 3
    fleet.job(task_type="update_agent")

    [task] = narrow.agent("GET", "/tasks", "key 3").json["tasks"]  # type: ignore[index]
    assert task["task"] == "update_agent"
