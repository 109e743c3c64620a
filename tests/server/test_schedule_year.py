# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A year of 200 plans in seconds, compared with the calendar: nothing lost, nothing doubled, nothing late."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from peewee import fn

from bbs_server.models import Client, Job, Plan, Repository
from bbs_server.scheduling import queue, states
from bbs_server.services import plan_times, plans

from .calendars import expected
from .conftest import START, Server, make_server

PLANS, CLIENTS = 200, 20
END = START + timedelta(days=365)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Auckland")
FREQUENCIES = [*["daily"] * 2, *["weekly"] * 25, *["monthly"] * 168, *["manual"] * 5]
TIMES = ("02:00", "02:30")
PAUSED = (START + timedelta(days=100, minutes=7), START + timedelta(days=130, minutes=7))
"""When every tenth plan is paused and resumed."""

OUTAGES = (
    (START + timedelta(days=30), START + timedelta(days=33)),
    (datetime(2027, 3, 27, 20, tzinfo=UTC), datetime(2027, 3, 28, 4, tzinfo=UTC)),  # while clocks change
    (START + timedelta(days=300), START + timedelta(days=310)),
)
"""When no worker runs; what became due is made up for once."""


@dataclass
class Year:
    """What became of the plans."""

    server: Server
    plans: list[Plan]
    jobs: dict[int, list[Job]]


def draw(chance: random.Random, number: int, client: Client, repository: Repository) -> Plan:
    return Plan(
        client=client,
        repository=repository,
        name=f"p{number}",
        directories="/",
        frequency=FREQUENCIES[number],
        times=",".join(chance.sample(TIMES, 2 if number % 20 == 0 else 1)),
        day_of_week=",".join(map(str, chance.sample(range(7), 2 if number % 10 == 0 else 1))),
        day_of_month=",".join(chance.sample([*map(str, range(1, 32)), "last"], 2 if number % 10 == 5 else 1)),
        timezone=ZONES[number % len(ZONES)],
        splay_minutes=90 if number % 10 == 3 else None,
        created_at=START,
        **dict.fromkeys(plans.RETENTION, 0),
    )


def live(server: Server) -> None:
    """Let the year pass: the clock jumps from one due time to the next, and each backup is done at once."""
    pauses = [(PAUSED[0], True), (PAUSED[1], False)]
    while (due := Plan.select(fn.MIN(Plan.next_run).python_value(as_time)).scalar()) is not None and due < END:
        if pauses and due > pauses[0][0]:
            server.clock.now, paused = pauses.pop(0)
            for plan in Plan.select():
                if is_paused_for_a_while(plan):
                    plans.pause(server.run, plan, paused=paused)
            continue
        server.clock.now = next((until for since, until in OUTAGES if since <= due < until), due)
        queue.queue_due_plans(server.run)
        Job.update(status=states.COMPLETED).where(Job.status == states.QUEUED).execute()


def is_paused_for_a_while(plan: Plan) -> bool:
    return bool(plan.id % 10 == 0)


def as_time(value: object) -> datetime | None:
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed.replace(tzinfo=UTC) if isinstance(parsed, datetime) else None


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    chance = random.Random(2027)
    with make_server(tmp_path_factory.mktemp("year")) as server, server.run.database.connection_context():
        made = []
        for number in range(PLANS):
            if number % (PLANS // CLIENTS) == 0:
                name = f"c{number}"
                client = Client.create(name=name, key_hash=name, ssh_public_key="k", created_at=START)
                place = {"encryption": "none", "storage_type": "local", "path": "x"}
                repository = Repository.create(client=client, name="r", created_at=START, **place)
            plan = draw(chance, number, client, repository)
            plan_times.arm(server.run, plan)
            plan.save()
            made.append(plan)
        # Otherwise each of 3,000 rounds would wait for the disk.
        with server.run.writing():
            live(server)
        jobs: dict[int, list[Job]] = {plan.id: [] for plan in made}
        for job in Job.select().order_by(Job.queued_at):
            jobs[job.plan_id].append(job)
        yield Year(server, made, jobs)


def planned(year: Year, plan: Plan) -> list[tuple[datetime, datetime]]:
    """The due times of a plan by the other library's calendar, and when each should have been queued."""
    schedule = plan_times.schedule_of(plan)
    delay = plan_times.splay(f"client {plan.client_id}", plan.splay_minutes or 0)
    found: list[tuple[datetime, datetime]] = []
    made_up_for: set[datetime] = set()
    for due in expected(schedule, START - delay, END - delay):
        start = due + delay
        if is_paused_for_a_while(plan) and PAUSED[0] < start <= PAUSED[1]:
            continue
        outage = next((until for since, until in OUTAGES if since <= start < until), None)
        if outage is None:
            found.append((due, start))
        elif outage not in made_up_for:
            made_up_for.add(outage)
            found.append((due, outage))
    return found


def test_every_run_of_the_calendar_happened_once_and_at_its_time(year: Year) -> None:
    wrong = {}
    for plan in year.plans:
        happened = [(job.due_at, job.queued_at) for job in year.jobs[plan.id]]
        if happened != planned(year, plan):
            wrong[plan.name] = sorted(set(happened) ^ set(planned(year, plan)))[:3]

    assert wrong == {}


def test_it_was_a_year_worth_looking_at(year: Year) -> None:
    numbers = [len(jobs) for jobs in year.jobs.values()]
    assert sum(numbers) > 4_000
    assert sum(number == 0 for number in numbers) == FREQUENCIES.count("manual")
    assert len(year.plans) == PLANS == len(FREQUENCIES)
    assert {plan.timezone for plan in year.plans} == set(ZONES)
