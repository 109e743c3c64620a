# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real server, killed at random moments while a playbook provisions and agents report (``make crash``).

Whatever was acknowledged is noted, and looked for when the kills are over. The agents are played, the repositories are
real. A kill takes all processes at once, or any one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbs_server.runtime import Runtime
from bbs_server.settings import Settings

from ..database_servers import open_directory, postgres
from ..server.wholeness import assert_whole
from .live_server import LiveServer, children, free_port
from .playbooks import PROVISIONING, run_playbook

ROOT = Path(__file__).parents[2]
CONTROLLERS = 2
HOSTS = 2
PATIENCE_SECONDS = 120

KEEP_ALL = dict.fromkeys((f"prune_{unit}" for unit in ("minutes", "hours", "days", "weeks", "months", "years")), 0)


@dataclass
class Acknowledged:
    """What the server has said is done."""

    there: set[str] = field(default_factory=set)
    """Paths in the API that have to answer."""
    gone: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    """Paths of jobs that an agent has reported done."""

    def __str__(self) -> str:
        return f"{len(self.there)} object(s), {len(self.gone)} deletion(s), {len(self.jobs)} report(s)"


class Fault(AssertionError):
    """Something that must not happen, whatever is killed."""


@dataclass
class Site:
    """A server and those who use it."""

    server: LiveServer
    token: str
    chance: random.Random
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    over: threading.Event = field(default_factory=threading.Event)
    quiet: threading.Event = field(default_factory=threading.Event)
    """Set when nobody uses the server any more."""
    faults: list[str] = field(default_factory=list)
    rounds: int = 0
    """How often the playbook ran to its end, each time for new hosts."""
    unavailable: int = 0
    """How often the server said that its database is away."""

    def call(self, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
        """A request, again and again until the server answers it; status and body.

        :param key: an agent's; else the administrator's token is used
        :raises Fault: the server failed.
        """
        url = f"{self.server.url}/api/{'agent' if key else 'v1'}{path}"
        headers = {"Authorization": f"Bearer {key or self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(url, data, headers, method=method), timeout=30
                ) as reply:
                    return reply.status, json.load(reply)
            except urllib.error.HTTPError as refused:
                told = refused.read().decode(errors="replace")
                if refused.code == 503 and "cannot reach its database" in told:
                    self.unavailable += 1
                    time.sleep(0.05)
                    continue
                if refused.code >= 500:
                    raise Fault(f"{method} {path}: {refused.code} {told}") from refused
                return refused.code, told
            except (OSError, ValueError, EOFError):  # not there, or cut off in the middle
                time.sleep(0.05)
            except Exception as error:
                if type(error).__module__ != "http.client":
                    raise
                time.sleep(0.05)
        raise Fault(f"{method} {path}: no answer for {PATIENCE_SECONDS} s")

    def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create something, or find what a request that was cut off has created."""
        status, reply = self.call("POST", path, body)
        if status == 409:
            listed = self.call("GET", f"{path}?name={body['name']}")[1]
            (reply,) = next(rows for rows in listed.values() if isinstance(rows, list))
        elif status != 201:
            raise Fault(f"POST {path}: {status} {reply}")
        self.acknowledged.there.add(f"{path}/{reply['id']}")
        return dict(reply)

    def provision(self, who: str) -> None:
        """One client after the other, with all that belongs to it; the things that were made are changed, some go."""
        number = 0
        while not self.over.is_set():
            number += 1
            client = self.made("/clients", {"name": f"{who}-{number}"})
            base = f"/clients/{client['id']}"
            repository = self.made(f"{base}/repositories", {"name": "main", "encryption": "none"})
            plan = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "frequency": "manual"}
            made = self.made(f"{base}/plans", plan | KEEP_ALL)
            if "api_key" in client:
                self.call("POST", f"{base}/plans/{made['id']}/trigger", {})
                self.back_up(base, str(client["api_key"]))
            if number % 3 == 0:
                self.call("PUT", f"{base}/repositories/{repository['id']}", {"name": "renamed"})
            if number % 3 == 1:
                self.delete(f"{base}/plans/{made['id']}")
                self.delete(f"{base}/repositories/{repository['id']}")
            if number % 5 == 4:
                self.delete(f"{base}?force=1", base)

    def back_up(self, base: str, key: str) -> None:
        """An agent: asks for work until there is none, and reports it done."""
        while tasks := self.call("GET", "/tasks", key=key)[1]["tasks"]:
            for task in tasks:
                told = {"job_id": task["job_id"], "attempt": task["attempt"]}
                self.call("POST", "/progress", told | {"files_processed": 1}, key=key)
                done = told | {"result": "completed", "archive_name": task["archive_name"]}
                status, reply = self.call("POST", "/status", done, key=key)
                if status != 200:
                    raise Fault(f"The report on job {task['job_id']} was answered {status}: {reply}")
                self.acknowledged.jobs.add(f"{base}/jobs/{task['job_id']}")

    def delete(self, path: str, counts: str = "") -> None:
        status, reply = self.call("DELETE", path)
        if status not in (200, 204, 404):
            raise Fault(f"DELETE {path}: {status} {reply}")
        prefix = counts or path
        for kind in (self.acknowledged.there, self.acknowledged.jobs):
            kind -= {found for found in kind if found == prefix or found.startswith(f"{prefix}/")}
        self.acknowledged.gone.add(prefix)

    def play(self) -> None:
        """Run the playbook for some hosts until it succeeds, then for others."""
        while not self.over.is_set():
            code, said = self.playbook(self.rounds)
            if code == 0:
                self.rounds += 1
            elif "HTTP 5" in said:
                raise Fault(said)

    def playbook(self, number: int) -> tuple[int, str]:
        """The playbook, for the hosts of one round: exit code, and what it said."""
        folder = self.server.directory
        (folder / "play.yml").write_text(PROVISIONING)
        hosts = ",".join(f"round{number}-host{host}" for host in range(HOSTS))
        return run_playbook(folder, "-i", f"{hosts},", BBS_URL=self.server.url, BBS_TOKEN=self.token)

    def guarded(self, work: Any, *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    def supervisor(self) -> int | None:
        """The supervisor's process; None when it is gone."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.server.directory / "run" / "bbs-server.pid").read_text())
            if "bbs_server" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        return None

    def kill(self) -> None:
        """Kill the whole server, or any one of its processes, and wait until it answers."""
        pid = self.supervisor()
        if pid is not None:
            everything = [pid, *sorted(children(pid))]
            for victim in everything if self.chance.random() < 0.7 else [self.chance.choice(everything)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
        self.call("GET", "/auth/discover")

    def keep(self) -> None:
        """Start the server whenever it has ended, as the system's service manager does."""
        while not self.quiet.wait(0.1):
            if self.supervisor() is None:
                self.server.command("bbs-server", "start")


@contextlib.contextmanager
def site(directory: Path, seed: int, database_url: str = "") -> Iterator[Site]:
    """A server that runs, with a token."""
    server = LiveServer(directory, free_port(), free_port())
    settings: dict[str, Any] = {"web_processes": 2, "max_queue": 50, "lease_seconds": 5}
    server.begin(**settings | ({"database_url": database_url} if database_url else {}))
    try:
        yield Site(server, server.mint("crash"), random.Random(seed))
    finally:
        server.command("bbs-server", "stop")


def crash(made: Site, kills: int, pause: tuple[float, float] = (0.2, 2.0)) -> Acknowledged:
    """Kill a server that is used, then look for all that it has acknowledged.

    :param kills: how often
    :param pause: seconds between a start and the next kill, at least and at most
    :raises AssertionError: something was lost, left over or answered with a failure.
    """
    with kept_running(made), in_use(made, (made.play,)):
        for _ in range(kills):
            time.sleep(made.chance.uniform(*pause))
            made.kill()
            assert not made.faults, made.faults
        # On a slow machine, nothing may have come to an end between two kills.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (made.rounds and made.acknowledged.jobs) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert not made.faults, made.faults
    made.server.command("bbs-server", "start")
    verify(made)
    return made.acknowledged


@contextlib.contextmanager
def kept_running(made: Site) -> Iterator[None]:
    """The server is started whenever it has ended."""
    keeper = threading.Thread(target=made.keep)
    keeper.start()
    try:
        yield
    finally:
        made.quiet.set()
        keeper.join()


@contextlib.contextmanager
def in_use(made: Site, *more: tuple[Any, ...]) -> Iterator[None]:
    """Controllers provision and agents report, until the ``with`` block ends and their last requests are answered."""
    work: list[tuple[Any, ...]] = [(made.provision, f"controller{number}") for number in range(CONTROLLERS)]
    threads = [threading.Thread(target=made.guarded, args=item) for item in [*work, *more]]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        made.over.set()
        for thread in threads:
            thread.join()


def verify(made: Site) -> None:
    """All that was acknowledged is there, nothing else is left over, and the playbook converges."""
    assert made.server.command("bbs-server", "init").returncode == 0
    run = Runtime.open(Settings.load(made.server.config))
    assert_whole(run)
    run.close()
    for path in made.acknowledged.there:
        if "/plans/" in path or "/repositories/" in path or path.count("/") == 2:
            assert made.call("GET", path)[0] == 200, f"{path} was lost"
    for path in made.acknowledged.gone:
        assert made.call("GET", path)[0] == 404, f"{path} came back"
    for path in made.acknowledged.jobs:
        status, job = made.call("GET", path)
        assert status == 200, f"{path} was lost"
        assert job["status"] == "completed", f"{path} is {job['status']} again"
    for number in range(made.rounds):
        code, said = made.playbook(number)
        assert code == 0, said
        assert said.count("changed=0") == HOSTS, f"round {number} had succeeded: {said}"


def main() -> int:
    sys.path.insert(0, str(ROOT / "tests" / "unit"))
    from collection_path import provide

    provide()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args()
    for database in ("sqlite", "postgresql") if chosen.database == "both" else (chosen.database,):
        directory = Path(tempfile.mkdtemp(prefix=f"crash-{database}-"))
        print(f"{database}: {chosen.kills} kills, seed {chosen.seed}, in {directory}", flush=True)
        with contextlib.ExitStack() as stack:
            url = ""
            if database == "postgresql":
                cluster = stack.enter_context(postgres(stack.enter_context(open_directory()) / "pg"))
                cluster.sql("CREATE DATABASE bbs")
                url = cluster.url("bbs")
            made = stack.enter_context(site(directory, chosen.seed, url))
            kept = crash(made, chosen.kills)
            print(f"{database}: nothing lost of {kept}; the playbook converged for {made.rounds * HOSTS} hosts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
