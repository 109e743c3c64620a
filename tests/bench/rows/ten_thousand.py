# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""10,000 clients: their polls while a playbook provisions and the schedule queues a backup for each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import fleet
from lab import Lab, memory
from live_server import LiveServer
from load import Load, Paced
from report import Row

from bbs_server.models import Job, Plan

CLIENTS = 10_000
POLLS = 333
SOON = 3
ROWS = [
    Row(f"{CLIENTS} clients, {POLLS} polls/s, a playbook and the schedule at work: p99", "ms", ("<=", 50)),
    Row(f"{CLIENTS} plans due at once: until the last is queued", "s", ("<=", 60)),
    Row("memory of web and worker after all were due a second time", "times that of the first", ("<=", 1.1)),
]

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - borgfleet.bbs.bbs_client:
        url: "{{ bbs_url }}"
        token: "{{ bbs_token }}"
        name: "new-{{ inventory_hostname }}"
"""


def measure(lab: Lab) -> list[tuple[float, Mapping[str, float]]]:
    """What the polls of all feel while everything happens at once, and whether memory grows when all are due again."""
    with lab.another("large", agent_poll_interval=30, worker_interval=5) as (server, token):
        fleet.fill(server, range(1, CLIENTS + 1))
        polls = Paced(server.port)
        quiet = polls.run(POLLS, lab.seconds, _key, lambda: True)
        before, _ = memory(server)

        hosts = [f"host{number}" for number in range(50)]
        due, queued = _make_all_due(server), list[float]()
        busy = _beside(
            lambda: queued.append(_until_queued(server, due)),
            lambda: lab.play(PLAYBOOK, hosts, 5, server, token),
            polls=polls,
        )
        after, _ = memory(server)
        due_again = _make_all_due(server)
        _beside(lambda: _until_queued(server, due_again), polls=polls)
        again, _ = memory(server)
    return [
        (busy.p99, {"p99_ms_when_nothing_else_happens": quiet.p99, "polls": len(polls.milliseconds)}),
        (queued[0], {}),
        (again / after, {"MiB_before": before, "MiB_after": after, "MiB_after_the_second_time": again}),
    ]


def _beside(*work: Callable[[], object], polls: Paced) -> Load:
    """Polls while something happens, until it has happened."""
    polls.milliseconds.clear()
    with ThreadPoolExecutor(len(work)) as pool:
        happening = [pool.submit(each) for each in work]
        felt = polls.run(POLLS, SOON, _key, lambda: all(each.done() for each in happening))
    for each in happening:
        each.result()
    return felt


def _key(number: int) -> str:
    return fleet.key(number % CLIENTS + 1)


def _make_all_due(server: LiveServer) -> datetime:
    """Let all plans be due in a moment; returns when."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=SOON)
    with fleet.database(server):
        Plan.update(next_run=due, next_due=due).execute()
    return due


def _until_queued(server: LiveServer, due: datetime) -> float:
    """Wait until no plan is due any more; returns the seconds since they were."""
    with fleet.database(server):
        while Plan.select().where(Plan.next_run <= due).exists():
            time.sleep(0.2)
            assert datetime.now(UTC) < due + timedelta(minutes=5), "The schedule does not get on."
        assert Job.select().count() == CLIENTS
    return (datetime.now(UTC) - due).total_seconds()
