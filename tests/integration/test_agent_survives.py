# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real agent, the real server: the server killed in mid-backup, then the agent killed in mid-backup."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .conftest import LiveServer, free_port


class Host:
    """A server of its own, and a host with an agent below a prefix."""

    def __init__(self, place: Path) -> None:
        self.server = LiveServer(place, free_port(), free_port())
        self.prefix, self.data = place / "agent", place / "data"
        self.server.config.write_text(
            f"listen_port = {self.server.port}\nssh_port = {self.server.ssh_port}\nprivate_sshd = true\n"
            "agent_poll_interval = 1\nworker_interval = 1\nweb_processes = 1\nretry_delay_seconds = 1\n"
        )
        self.token = ""

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


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    found = Host(tmp_path)
    for step in ("init", "start"):
        done = found.server.command("bbs-server", step)
        assert done.returncode == 0, done.stderr
    yield found
    if found.prefix.exists():
        found.agent("stop")
    found.server.command("bbs-server", "stop")


def test_a_killed_server_and_a_killed_agent(host: Host) -> None:
    host.token = host.server.mint("survives")
    client = host.call("/clients", "POST", name="h1")
    install = client["install_command"].replace("sudo bash", "bash") + f" --prefix {host.prefix}"
    installed = subprocess.run(["bash", "-c", install], capture_output=True, text=True, timeout=120, check=False)
    assert installed.returncode == 0, installed
    repository = host.call("/clients/1/repositories", "POST", name="main")
    host.data.mkdir()
    (host.data / "small").write_text("small")
    (host.data / "big").write_bytes(os.urandom(3_000_000))
    plan = {"name": "p", "repository_id": 1, "directories": str(host.data), "frequency": "manual"}
    host.call("/clients/1/plans", "POST", advanced_options="--upload-ratelimit 500", **plan)

    job = host.call("/clients/1/plans/1/trigger", "POST")
    borg = host.begin(job)
    host.kill_server()
    os.kill(borg, 0)
    assert host.server.command("bbs-server", "start").returncode == 0
    first = host.end(job)
    assert first["status"] == "completed" and first["attempt"] == 1, first

    (host.data / "big").write_bytes(os.urandom(3_000_000))
    job = host.call("/clients/1/plans/1/trigger", "POST")
    borg = host.begin(job)
    os.kill(int((host.prefix / "run/bbs-agent.pid").read_text()), signal.SIGKILL)
    until(lambda: "not running" in host.agent("status").stdout)
    assert host.agent("start").returncode == 0
    second = host.end(job)
    assert second["status"] == "completed" and second["attempt"] == 2 and not second["had_warnings"], second
    with pytest.raises(ProcessLookupError):
        os.kill(borg, 0)
    told = [line["message"] for line in host.call(f"/jobs/{job['job_id']}")["logs"]]
    assert any("the agent ended while this job was running" in line for line in told), told

    # The server prunes after a backup; two borgs at once would wait for each other, a minute at a time.
    until(lambda: host.call("/queue")["count"] == 0)
    environment = os.environ | {
        "BORG_PASSPHRASE": repository["passphrase"],
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        "BORG_BASE_DIR": str(host.server.directory / "checked"),
    }
    for command in (["check", str(host.repository)], ["list", "--short", str(host.repository)]):
        done = subprocess.run(
            [shutil.which("borg") or "borg", *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 2
