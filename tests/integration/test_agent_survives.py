# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real agent, the real server: one of them killed in mid-backup, the server killed in mid-report."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bbs_server.models import Job
from bbs_server.runtime import Runtime
from bbs_server.settings import Settings

from ..database_servers import open_directory, postgres
from ..much_data import fill
from .conftest import LiveServer, free_port
from .line import Ask, Line, line
from .live_server import children

pytestmark = pytest.mark.slow
SLOW = "--upload-ratelimit 500"


class Host:
    """A server of its own, and a host with an agent below a prefix."""

    def __init__(self, place: Path) -> None:
        self.server = LiveServer(place, free_port(), free_port())
        self.prefix, self.data = place / "agent", place / "data"
        self.token, self.passphrase = "", ""

    def call(self, path: str, method: str = "GET", **body: Any) -> Any:
        request = urllib.request.Request(f"{self.server.url}/api/v1{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        content = json.dumps(body).encode() if method != "GET" else None
        with urllib.request.urlopen(request, content, timeout=60) as answer:
            return json.load(answer)

    def agent(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.prefix / "bin" / "bbs-agent"), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def kill_server(self) -> None:
        """Kill the process that all others of the server end with; who is connected by ssh stays connected."""
        os.kill(int((self.server.directory / "run" / "bbs-server.pid").read_text()), signal.SIGKILL)
        for port in (self.server.port, self.server.ssh_port):
            until(partial(is_free, port))

    def kill_all(self) -> None:
        """Kill every process of the server."""
        first = int((self.server.directory / "run" / "bbs-server.pid").read_text())
        for pid in (first, *children(first)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def is_dead(self) -> bool:
        return "not running" in self.server.command("bbs-server", "status").stdout

    def start(self) -> None:
        done = self.server.command("bbs-server", "start")
        assert done.returncode == 0, done.stderr

    @contextmanager
    def database(self) -> Iterator[Runtime]:
        """The server's database, as one more of its processes."""
        with closing(Runtime.open(Settings.load(self.server.config))) as run, run.database.connection_context():
            yield run

    def set_up(self, url: str) -> None:
        """Install the agent, which reaches the server at a URL, and make a repository for `data`."""
        self.token = self.server.mint("survives")
        told = self.call("/clients", "POST", name="h1")["install_command"].replace("sudo bash", "bash")
        install = f"{told.replace(self.server.url, url)} --prefix {self.prefix}"
        installed = subprocess.run(["bash", "-c", install], capture_output=True, text=True, timeout=120, check=False)
        assert installed.returncode == 0, installed
        self.passphrase = self.call("/clients/1/repositories", "POST", name="main")["passphrase"]
        self.data.mkdir()
        (self.data / "small").write_text("small")

    def trigger(self, name: str, **options: Any) -> dict[str, Any]:
        """Back up once, by a plan of its own: its archive stays when others are pruned."""
        fixed = {"name": name, "repository_id": 1, "directories": str(self.data), "frequency": "manual"}
        plan = self.call("/clients/1/plans", "POST", **fixed, **options)
        job: dict[str, Any] = self.call(f"/clients/1/plans/{plan['id']}/trigger", "POST")
        return job

    def begin(self, job: dict[str, Any]) -> int:
        """Wait until borg is at work in the repository; its process."""
        note, lock = self.prefix / "var/lib/bbs-agent/child.json", self.repository / "lock.exclusive"
        until(lambda: self.call(f"/jobs/{job['job_id']}")["status"] == "running")
        until(lambda: note.exists() and lock.exists())
        return int(json.loads(note.read_text())["pid"])

    @property
    def repository(self) -> Path:
        return self.server.directory / "repositories" / "1" / "main"

    def end(self, job: dict[str, Any]) -> dict[str, Any]:
        ended = ("completed", "failed", "cancelled")
        until(lambda: self.call(f"/jobs/{job['job_id']}")["status"] in ended)
        found: dict[str, Any] = self.call(f"/jobs/{job['job_id']}")
        return found

    def assert_sound(self, *archives: str) -> None:
        """The repository is whole and holds these archives, and the server knows them."""
        # The server prunes after a backup; two borgs at once would wait for each other, a minute at a time.
        until(lambda: self.call("/queue")["count"] == 0)
        assert not (self.repository / "lock.exclusive").exists()
        environment = os.environ | {
            "BORG_PASSPHRASE": self.passphrase,
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "BORG_BASE_DIR": str(self.server.directory / "checked"),
        }
        for command in ("check", "list --short"):
            run = ["borg", *command.split(), str(self.repository)]
            done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        assert done.stdout.split() == list(archives)
        known = self.call("/clients/1/repositories/1/archives")["archives"]
        assert sorted(archive["name"] for archive in known) == sorted(archives)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@contextmanager
def running(place: Path, **settings: Any) -> Iterator[Host]:
    found = Host(place)
    # A killed server's leases of jobs are waited for when the next one starts.
    found.server.begin(web_processes=1, lease_seconds=5, retry_delay_seconds=1, **settings)
    yield found
    if found.prefix.exists():
        found.agent("stop")
    found.server.command("bbs-server", "stop")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running(tmp_path) as found:
        yield found


@pytest.fixture
def host_on_postgresql(tmp_path: Path) -> Iterator[Host]:
    with open_directory() as directory, postgres(directory / "pg") as cluster:
        cluster.sql("CREATE DATABASE bbs")
        with running(tmp_path, database_url=cluster.url("bbs")) as found:
            yield found


def test_a_killed_server_and_a_killed_agent(host: Host) -> None:
    host.set_up(host.server.url)

    fill(host.data / "much", 3_000_000)
    job = host.trigger("first", advanced_options=SLOW)
    borg = host.begin(job)
    host.kill_server()
    os.kill(borg, 0)
    host.start()
    first = host.end(job)
    assert first["status"] == "completed" and first["attempt"] == 1, first

    fill(host.data / "more", 3_000_000)
    job = host.trigger("second", advanced_options=SLOW)
    borg = host.begin(job)
    os.kill(int((host.prefix / "run/bbs-agent.pid").read_text()), signal.SIGKILL)
    until(lambda: "not running" in host.agent("status").stdout)
    assert host.agent("start").returncode == 0
    second = host.end(job)
    assert second["status"] == "completed" and second["attempt"] == 2 and not second["had_warnings"], second
    with pytest.raises(ProcessLookupError):
        os.kill(borg, 0)
    told = [line["message"] for line in second["logs"]]
    assert any("the agent ended while this job was running" in line for line in told), told
    host.assert_sound(first["archive_name"], second["archive_name"])


def killed_before_commit(host: Host, ask: Ask) -> None:
    """The report waits in the server for its turn to write."""
    with host.database() as other, other.writing():
        with closing(ask()) as asked, pytest.raises(TimeoutError):
            assert asked.sock is not None
            asked.sock.settimeout(1)
            asked.getresponse()
        host.kill_all()


def killed_before_answer(host: Host, ask: Ask) -> None:
    """The answer is lost on its way."""
    with closing(ask()) as asked:
        asked.getresponse().read()
    host.kill_all()


def report_again(host: Host, between: Line, kill: Callable[[Host, Ask], None], noted: str) -> dict[str, Any]:
    """Kill the server in mid-report and start it again; what its job ends as.

    :param noted: the job's state when the server was dead
    """
    between.fate = partial(kill, host)
    job = host.trigger(noted)
    until(host.is_dead)
    with host.database():
        assert Job.get_by_id(job["job_id"]).status == noted

    host.start()
    ended = host.end(job)
    assert (ended["status"], ended["attempt"], ended["had_warnings"]) == ("completed", 1, 0), ended
    until(lambda: not (host.prefix / "var/lib/bbs-agent/journal.json").exists())
    return ended


def test_a_server_killed_in_mid_report(host: Host) -> None:
    """Whether it had noted the report or not: the agent reports again, and there is one end and one archive."""
    with line(host.server.port) as between:
        host.set_up(between.url)
        archives = []
        for kill, noted in ((killed_before_commit, "running"), (killed_before_answer, "completed")):
            archives.append(report_again(host, between, kill, noted)["archive_name"])
            host.assert_sound(*archives)
        last = host.end(host.trigger("next"))
        assert last["status"] == "completed", last
        host.assert_sound(*archives, last["archive_name"])
        kinds = Counter(job["task_type"] for job in host.call("/clients/1/jobs")["jobs"])
        assert kinds == {"backup": 3, "prune": 3}


def test_postgresql_takes_back_what_a_killed_server_had_begun(host_on_postgresql: Host) -> None:
    """What was committed is the same on every engine; what was not, PostgreSQL itself has to take back."""
    with line(host_on_postgresql.server.port) as between:
        host_on_postgresql.set_up(between.url)
        ended = report_again(host_on_postgresql, between, killed_before_commit, "running")
        host_on_postgresql.assert_sound(ended["archive_name"])
