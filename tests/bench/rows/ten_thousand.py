# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""10,000 clients: their polls while a playbook provisions and the schedule queues a backup for each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import fleet
from lab import Lab, memory
from live_server import LiveServer
from load import Paced
from report import Row

from bbs_server.models import Job, Plan

CLIENTS = 10_000
POLLS = 333
SOON = 3
ROWS = [
    Row(f"{CLIENTS} clients, {POLLS} polls/s, a playbook and the schedule at work: p99", "ms", ("<=", 50)),
    Row(f"{CLIENTS} plans due at once: until the last is queued", "s", ("<=", 60)),
    Row(f"memory of web and worker with {CLIENTS} clients after that", "MiB", ("<=", 150)),
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
    """What the polls of all feel while everything happens at once."""
    with lab.another("large", agent_poll_interval=30, worker_interval=5) as (server, token):
        fleet.fill(server, range(1, CLIENTS + 1))
        polls = Paced(server.port)
        quiet = polls.run(POLLS, lab.seconds, _key, lambda: True)
        before, _ = memory(server)
        polls.milliseconds.clear()

        queued: list[float] = []
        due = _make_all_due(server)
        schedule = threading.Thread(target=lambda: queued.append(_until_queued(server, due)))
        hosts = [f"host{number}" for number in range(50)]
        provisioning = threading.Thread(target=lambda: lab.play(PLAYBOOK, hosts, 5, server, token))
        for work in (schedule, provisioning):
            work.start()
        busy = polls.run(POLLS, lab.seconds, _key, lambda: not (schedule.is_alive() or provisioning.is_alive()))
        after, _ = memory(server)
    return [
        (busy.p99, {"p99_ms_when_nothing_else_happens": quiet.p99, "polls": len(polls.milliseconds)}),
        (queued[0], {}),
        (after, {"before": before}),
    ]


def _key(number: int) -> str:
    return fleet.key(number % CLIENTS + 1)


def _make_all_due(server: LiveServer) -> datetime:
    """Let all plans be due in a moment; returns when."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=SOON)
    with fleet.database(server):
        Plan.update(next_run=due, next_due=due).execute()
    return due


def _until_queued(server: LiveServer, due: datetime) -> float:
    """Wait until each plan has a job; returns the seconds since they were due."""
    with fleet.database(server):
        while Job.select().count() < CLIENTS:
            time.sleep(0.2)
            assert datetime.now(UTC) < due + timedelta(minutes=5), "The schedule does not get on."
    return (datetime.now(UTC) - due).total_seconds()
