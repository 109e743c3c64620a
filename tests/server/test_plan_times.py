# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When plans run: spread over clients, shown before it happens, and how old their backups may become."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.models import Job, Plan
from bbs_server.services import plan_times

from . import backups
from .conftest import Server, make_server


@pytest.fixture
def body(repository: dict[str, Any]) -> dict[str, Any]:
    return {"name": "nightly", "repository_id": repository["id"], "directories": "/etc", "times": "13:00"}


@pytest.fixture
def plans(client: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/plans"


def starts(server: Server, path: str, count: int = 3) -> list[str]:
    return [run["start_at"] for run in server.get(f"{path}/preview?count={count}")["runs"]]


def test_a_preview_is_what_then_happens(server: Server, plans: str, body: dict[str, Any]) -> None:
    made = server.post(plans, body | {"splay_minutes": 50, "timezone": "Europe/Berlin", "frequency": "hourly"})
    path = f"{plans}/{made['id']}"
    promised = starts(server, path, 5)

    happened = []
    for _ in range(5):
        shown = server.get(path)["next_run"]
        happened.append(shown)
        server.clock.now = server.clock.now.fromisoformat(f"{shown}+00:00")
        server.work()
        with server.run.database.connection_context():
            Job.update(status="completed").execute()
    assert happened == promised


def test_a_preview_shows_the_clock_on_the_wall_when_clocks_change(
    server: Server, plans: str, body: dict[str, Any]
) -> None:
    server.clock.now = server.clock.now.replace(month=3, day=27, year=2027)
    made = server.post(plans, body | {"times": "02:30", "timezone": "Europe/Berlin"})

    first, second = server.get(f"{plans}/{made['id']}/preview?count=2")["runs"]
    assert (first["due_at"], first["local"]) == ("2027-03-28 01:30:00", "2027-03-28T03:30:00+02:00")
    assert (second["due_at"], second["local"]) == ("2027-03-29 00:30:00", "2027-03-29T02:30:00+02:00")


def test_a_run_that_the_worker_has_yet_to_see_comes_first(server: Server, plans: str, body: dict[str, Any]) -> None:
    made = server.post(plans, body)
    server.clock.forward(days=2)
    assert starts(server, f"{plans}/{made['id']}", 2) == ["2026-11-23 13:00:00", "2026-11-25 13:00:00"]


def test_plans_that_do_not_run_show_what_they_would_do(server: Server, plans: str, body: dict[str, Any]) -> None:
    paused = server.post(plans, body | {"paused": True})
    manual = server.post(plans, body | {"name": "by hand", "frequency": "manual"})

    shown = server.get(f"{plans}/{paused['id']}/preview?count=1")
    assert (shown["paused"], shown["runs"][0]["start_at"]) == (True, "2026-11-23 13:00:00")
    assert starts(server, f"{plans}/{manual['id']}") == []


def test_a_schedule_is_shown_before_it_is_saved(server: Server, plans: str, body: dict[str, Any]) -> None:
    query = "frequency=weekly&times=14:00,02:00&day_of_week=6,0&timezone=America/New_York"
    options = dict(part.split("=") for part in query.split("&"))
    made = server.post(plans, body | options)

    before = server.get(f"/schedules/preview?{query}&count=7")
    assert before["runs"] == server.get(f"{plans}/{made['id']}/preview?count=7")["runs"]
    assert len(before["runs"]) == 7


@pytest.mark.parametrize(
    ("query", "field"),
    [("frequency=yearly", "frequency"), ("times=25:00", "times"), ("count=0", "count"), ("count=101", "count")],
)
def test_a_schedule_that_cannot_be_is_refused_by_name(server: Server, query: str, field: str) -> None:
    reply = server.call("GET", f"/schedules/preview?{query}")
    assert reply.status_code == 400
    assert field in reply.json["error"]


def test_many_clients_do_not_start_in_one_second(server: Server) -> None:
    with server.run.database.connection_context():
        delays = {delay_of(server, client_id, minutes=60) for client_id in range(1000)}
        assert delays == {delay_of(server, client_id, minutes=60) for client_id in range(1000)}

    assert len(delays) > 800
    assert min(delays) < 60 < 59 * 60 < max(delays) < 60 * 60


def delay_of(server: Server, client_id: int, minutes: int) -> int:
    """Seconds by which a client's runs are delayed."""
    plan = Plan(client=client_id, frequency="daily", times="13:00", timezone="UTC", splay_minutes=minutes)
    plan.enabled, plan.paused = True, False
    slot = plan_times.upcoming(server.run, plan, server.clock())
    assert slot is not None
    return int((slot.start - slot.due).total_seconds())


def test_the_servers_splay_holds_where_a_plan_says_nothing(tmp_path: Any) -> None:
    with make_server(tmp_path, splay_minutes=30) as server:
        client = server.post("/clients", {"name": "web01"})["id"]
        made = server.post(f"/clients/{client}/repositories", {"name": "main", "encryption": "none"})
        body = {"repository_id": made["id"], "directories": "/etc", "times": "13:00"}
        spread = server.post(f"/clients/{client}/plans", {"name": "a", **body})
        at_once = server.post(f"/clients/{client}/plans", {"name": "b", "splay_minutes": 0, **body})

        assert "2026-11-23 13:00:00" < spread["next_run"] < "2026-11-23 13:30:00"
        assert at_once["next_run"] == "2026-11-23 13:00:00"
        assert server.get(f"/clients/{client}/plans/{spread['id']}")["splay_minutes"] is None


def test_another_splay_does_not_bring_a_time_back(server: Server, plans: str, body: dict[str, Any]) -> None:
    """The time is the one that the schedule names, whenever it then starts."""
    path = f"{plans}/{server.post(plans, body)['id']}"
    server.clock.forward(hours=1)
    server.work()
    with server.run.database.connection_context():
        Job.update(status="completed").execute()
    server.call("PUT", path, {"splay_minutes": 24 * 60})
    for _ in range(24):
        server.clock.forward(hours=1)
        server.work()

    jobs = server.get(f"{plans.removesuffix('/plans')}/jobs")["jobs"]
    assert len(jobs) <= 2
    with server.run.database.connection_context():
        due = [job.due_at for job in Plan.get().jobs]
    assert len(due) == len(set(due))


def test_new_options_are_read_back_cleared_and_checked(server: Server, plans: str, body: dict[str, Any]) -> None:
    options = {"splay_minutes": 5, "maximum_age_hours": 336, "retry_limit": 0}
    path = f"{plans}/{server.post(plans, body | options)['id']}"
    assert {name: server.get(path)[name] for name in options} == options

    assert server.call("PUT", path, {"splay_minutes": None, "maximum_age_hours": None}).status_code == 200
    assert (server.get(path)["splay_minutes"], server.get(path)["maximum_age_hours"]) == (None, None)
    for wrong in ({"retry_limit": None}, {"retry_limit": -1}, {"splay_minutes": 1441}, {"maximum_age_hours": 0}):
        reply = server.call("PUT", path, wrong)
        assert reply.status_code == 400
        assert next(iter(wrong)) in reply.json["error"]


def test_age_is_the_signal_not_absence(
    server: Server, client: dict[str, Any], plans: str, body: dict[str, Any]
) -> None:
    """A laptop that may be away for two weeks is well until then, though it is offline all the time."""
    laptop = f"{plans}/{server.post(plans, body | {'maximum_age_hours': 336})['id']}"
    strict = f"{plans}/{server.post(plans, body | {'name': 'strict'})['id']}"
    server.agent("POST", "/heartbeat", client["api_key"], {})
    server.work()
    assert (server.get(laptop)["stale"], server.get(laptop)["never_backed_up"]) == (False, True)

    server.clock.forward(hours=49)
    server.work()
    assert (server.get(laptop)["stale"], server.get(strict)["stale"]) == (False, True)
    assert server.get("/health")["checks"]["clients"]["status"] == "ok"
    assert server.get("/health")["checks"]["backups"]["overdue_clients"] == 1

    server.post(f"{strict}/pause")
    assert server.get("/health")["checks"]["backups"]["overdue_clients"] == 0
    assert server.get("/clients")["clients"][0]["stale"] is False
    server.clock.forward(hours=336)
    assert server.get("/clients")["clients"][0]["stale"] is True


def test_a_good_backup_makes_it_fresh(server: Server, client: dict[str, Any], plans: str, body: dict[str, Any]) -> None:
    made = server.post(plans, body)
    server.clock.forward(hours=60)
    assert server.get("/clients")["clients"][0]["stale"] is True
    job = server.post(f"{plans}/{made['id']}/trigger")["job_id"]
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    done = {"job_id": job, "result": "completed", "archive_name": task["archive_name"]}
    server.agent("POST", "/status", client["api_key"], done)

    shown = server.get("/clients?name=web01")["clients"][0]
    assert (shown["stale"], shown["never_backed_up"]) == (False, False)
    (schedule,) = server.get("/schedules")["schedules"]
    assert (schedule["last_success"], schedule["stale"]) == ("2026-11-26 00:00:00", False)
    lines = server.call("GET", "/metrics?format=prometheus").text.splitlines()
    labels = 'client="web01",plan="nightly"'
    assert {f"bbs_plan_stale{{{labels}}} 0", f"bbs_plan_never_backed_up{{{labels}}} 0"} <= set(lines)


def test_a_client_without_plans_was_never_backed_up(server: Server, client: dict[str, Any]) -> None:
    shown = server.get(f"/clients/{client['id']}")
    assert (shown["stale"], shown["never_backed_up"]) == (False, True)


def test_failures_do_not_make_it_fresh(
    server: Server, client: dict[str, Any], plans: str, body: dict[str, Any]
) -> None:
    plan = server.post(plans, body)["id"]
    backups.add_job(server, client["id"], plan=plan, status="failed", completed_at=server.clock())
    assert server.get(f"{plans}/{plan}")["never_backed_up"] is True
