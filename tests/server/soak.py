# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real worker processes, killed and frozen at random, while time runs sixty times as fast (``make soak``).

The plans' backups are played: an agent here is a loop that asks for work and reports it done. The
server's own jobs are real checks by a real borg, so that a killed worker leaves a borg behind.
Afterwards every due time of the calendar is looked for among the jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bbs_server.app import build
from bbs_server.initialise import initialise
from bbs_server.models import Job, JobLog, Plan
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states, worker
from bbs_server.services import plan_times
from bbs_server.settings import Settings

from .calendars import expected
from .conftest import START, Server

ROOT = Path(__file__).parents[2]
SPEED = 60
CLIENTS, PLANS_EACH = 3, 8
FREQUENCIES = ("10min", "15min", "30min", "hourly")

LATE = timedelta(minutes=20)
"""What is queued later than this after it was due is late: 20 s in real time, for a machine that is busy."""

SETTLING_SECONDS = 90
"""Patience with work that is under way when the kills are over."""

SETTINGS: dict[str, Any] = {
    "server_host": "bbs.example",
    "ssh_user": "bbs",
    "agent_poll_interval": 600,
    "worker_interval": 30,
    "lease_seconds": 150,
    "retry_delay_seconds": 30,
    "max_queue": 8,
}


@dataclass(frozen=True)
class FastClock:
    """Time that began with a process and runs faster; all processes of a soak share it."""

    origin: float
    speed: int = SPEED

    def __call__(self) -> datetime:
        return (START + timedelta(seconds=(time.time() - self.origin) * self.speed)).replace(microsecond=0)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.wait(seconds / self.speed)


@dataclass
class Tally:
    """What became of all that was due."""

    lost: int = 0
    doubled: int = 0
    late: int = 0
    runs: int = 0
    made_up_for: int = 0
    server_jobs: int = 0
    retried: int = 0
    disturbances: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"lost {self.lost}, doubled {self.doubled}, late {self.late}\n"
            f"of {self.runs} backups ({self.made_up_for} more fell together with one that was still waiting)\n"
            f"and {self.server_jobs} jobs of the server ({self.retried} were tried more than once)\n"
            f"while workers were killed {self.disturbances['kill']} and frozen {self.disturbances['freeze']} times"
        )


class Workers:
    """Worker processes of one server, and what is done to them."""

    def __init__(self, settings_file: Path, clock: FastClock, count: int, chance: random.Random) -> None:
        self._command = [sys.executable, "-m", "tests.server.soak", "--worker", str(settings_file), str(clock.origin)]
        self._log = (settings_file.parent / "workers.log").open("ab")
        self._chance = chance
        self._running = [self._start() for _ in range(count)]
        self.disturbances: Counter[str] = Counter()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, cwd=ROOT, stdout=self._log, stderr=self._log)

    def disturb(self) -> None:
        """Kill one of them and start it again, or freeze one for longer than its leases last."""
        place = self._chance.randrange(len(self._running))
        victim = self._running[place]
        if self._chance.random() < 0.7:
            self.disturbances["kill"] += 1
            victim.kill()
            victim.wait()
            self._running[place] = self._start()
        else:
            self.disturbances["freeze"] += 1
            victim.send_signal(signal.SIGSTOP)
            time.sleep(self._chance.uniform(2.5, 4))
            victim.send_signal(signal.SIGCONT)

    def end(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=SETTLING_SECONDS)
            process.kill()
            process.wait()
        self._log.close()


class Agents:
    """The agents of all clients, in one thread: they ask for work and report it done at once."""

    def __init__(self, server: Server, keys: list[str]) -> None:
        self._server = server
        self._keys = keys
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._done: set[int] = set()
        self.doubled = 0

    def __enter__(self) -> Agents:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.3):
            for key in self._keys:
                reply = self._server.agent("GET", "/tasks", key)
                # A frozen worker may hold the database for longer than a request waits; an agent asks again.
                for task in reply.json["tasks"] if reply.status_code == 200 else ():
                    self._back_up(key, task)

    def _back_up(self, key: str, task: dict[str, Any]) -> None:
        if task["job_id"] in self._done:
            self.doubled += 1
        told = {"job_id": task["job_id"], "attempt": task["attempt"]}
        self._until_told(key, "/progress", told)
        self._until_told(key, "/status", told | {"result": "completed", "archive_name": task["archive_name"]})
        self._done.add(task["job_id"])

    def _until_told(self, key: str, path: str, body: dict[str, Any]) -> None:
        while self._server.agent("POST", path, key, body).status_code != 200:
            time.sleep(0.1)


def soak(directory: Path, *, seconds: float, workers: int, seed: int) -> Tally:
    """Let workers work and disturb them.

    :param seconds: for how long, in real time; the settling comes on top.
    :param seed: of the disturbances.
    """
    with _server(directory) as (server, clock, keys):
        chance = random.Random(seed)
        processes = Workers(directory / "bbs-server.toml", clock, workers, chance)
        try:
            with Agents(server, keys) as agents:
                over = time.monotonic() + seconds
                while time.monotonic() < over:
                    _queue_check(server, chance)
                    time.sleep(chance.uniform(1.5, 4))
                    processes.disturb()
                until = clock()
                _settle(server, until)
        finally:
            processes.end()
        with server.run.database.connection_context():
            tally = _count(server, until)
        tally.doubled += agents.doubled
        tally.disturbances = processes.disturbances
        return tally


@contextlib.contextmanager
def _server(directory: Path) -> Iterator[tuple[Server, FastClock, list[str]]]:
    values = SETTINGS | {"directory": str(directory)}
    lines = (f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in values.items())
    (directory / "bbs-server.toml").write_text("\n".join(lines))
    settings = Settings.load(directory / "bbs-server.toml")
    initialise(settings)
    # While the fleet is made, time stands still: plans are due from its beginning on.
    run = Runtime.open(settings, clock=lambda: START)
    server = Server(run, build(run), None)  # type: ignore[arg-type]  # nobody moves this clock
    server.token = server.mint("soak")
    keys = [_client(server, number) for number in range(CLIENTS)]
    run.database.close()
    clock = FastClock(time.time())
    run = Runtime.open(settings, clock=clock, wait=clock.wait)
    yield Server(run, build(run), None), clock, keys  # type: ignore[arg-type]
    run.close()


def _client(server: Server, number: int) -> str:
    client = server.post("/clients", {"name": f"c{number}"})
    base = f"/clients/{client['id']}"
    repository = server.post(f"{base}/repositories", {"name": "main", "encryption": "none"})
    keep = {f"prune_{unit}": 0 for unit in ("minutes", "hours", "days", "weeks", "months", "years")}
    for place in range(PLANS_EACH):
        body = {"name": f"p{place}", "repository_id": repository["id"], "directories": "/", "retry_limit": 100}
        splay = {"splay_minutes": 10 if place % 2 else 0}
        server.post(f"{base}/plans", body | keep | splay | {"frequency": FREQUENCIES[place % len(FREQUENCIES)]})
    return str(client["api_key"])


def _queue_check(server: Server, chance: random.Random) -> None:
    with server.run.database.connection_context(), server.run.writing():
        plan = chance.choice(list(Plan.select()))
        row = {"client": plan.client_id, "plan": plan, "repository": plan.repository_id, "task_type": "repo_check"}
        Job.create(status=states.QUEUED, queued_at=server.run.clock(), **row)


def _settle(server: Server, until: datetime) -> None:
    """Wait until all that was due is done."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while time.monotonic() < deadline:
        with server.run.database.connection_context():
            due = Plan.select().where(Plan.next_run <= until).exists()
            active = Job.select().where(Job.status.in_(states.ACTIVE) & (Job.queued_at <= until)).exists()
        if not due and not active:
            return
        time.sleep(0.5)


def _count(server: Server, until: datetime) -> Tally:
    tally = Tally()
    for plan in Plan.select():
        made = list(plan.jobs.where(Job.task_type == "backup").order_by(Job.queued_at))
        times = Counter(job.due_at for job in made)
        tally.runs += len(made)
        tally.doubled += sum(count - 1 for count in times.values())
        delay = plan_times.splay(f"client {plan.client_id}", plan.splay_minutes or 0)
        tally.late += sum(job.queued_at - job.due_at - delay > LATE for job in made)
        tally.lost += sum(job.status != states.COMPLETED for job in made if job.queued_at <= until)
        for due in expected(plan_times.schedule_of(plan), START - delay, until - delay):
            if due not in times and any(job.due_at < due and _goes_on(job, due + delay) for job in made):
                tally.made_up_for += 1
            elif due not in times:
                tally.lost += 1
    for job in Job.select().where((Job.task_type == "repo_check") & (Job.queued_at <= until)):
        tally.server_jobs += 1
        tally.retried += job.attempt > 1
        tally.lost += job.status != states.COMPLETED
        told = job.logs.where(JobLog.message.contains("The repository is sound.")).count()
        tally.doubled += max(0, told - 1)
    return tally


def _goes_on(job: Job, moment: datetime) -> bool:
    """Whether a backup was still to come, or not yet done, at a moment."""
    return job.completed_at is None or job.completed_at >= moment


def _work(settings_file: Path, origin: float) -> None:
    """A worker process, as ``bbs-server worker`` is but for its clock."""
    logging.basicConfig(level=logging.INFO, format="%(process)d %(asctime)s %(levelname)s %(message)s")
    clock, stop = FastClock(origin), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker.work(Runtime.open(Settings.load(settings_file), clock=clock, wait=clock.wait), stop)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--worker", nargs=2, metavar=("SETTINGS", "ORIGIN"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        _work(Path(chosen.worker[0]), float(chosen.worker[1]))
        return 0
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"{chosen.workers} workers, {chosen.seconds:g} s, seed {chosen.seed}, in {directory}", flush=True)
    tally = soak(directory, seconds=chosen.seconds, workers=chosen.workers, seed=chosen.seed)
    print(tally)
    return int(bool(tally.lost or tally.doubled or tally.late))


if __name__ == "__main__":
    sys.exit(main())
