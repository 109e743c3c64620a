# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bbs-server dev`: a server for a moment, whose simulated agents do what they are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bbs_server.dev import command

PROGRAM = Path(sys.executable).with_name("bbs-server")
DEADLINE_SECONDS = 180


@dataclass(frozen=True)
class Dev:
    """A running one, as its caller knows it."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def directory(self) -> Path:
        return Path(self.told["directory"])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.told['token']}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.told['url']}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(asked) as reply:
            return json.load(reply)

    def client(self, name: str) -> dict[str, Any]:
        return next(client for client in self.call("GET", "/clients")["clients"] if client["name"] == name)

    def back_up(self, name: str) -> int:
        """Have a repository and a plan, and trigger it; the job's id."""
        client = f"/clients/{self.client(name)['id']}"
        repository = self.call("POST", f"{client}/repositories", {"name": "main", "encryption": "none"})
        plan = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc", "frequency": "manual"}
        identifier = self.call("POST", f"{client}/plans", plan)["id"]
        return int(self.call("POST", f"{client}/plans/{identifier}/trigger")["job_id"])

    def job(self, name: str, identifier: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/clients/{self.client(name)['id']}/jobs/{identifier}")
        return found

    def reaches(self, name: str, identifier: int, *states: str) -> dict[str, Any]:
        return until(lambda: job if (job := self.job(name, identifier))["status"] in states else None)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        with self.process:
            return self.process.wait(DEADLINE_SECONDS)


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


def start(folder: Path, *arguments: str) -> Dev:
    process = subprocess.Popen(
        [str(PROGRAM), "dev", *arguments], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(folder)}
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"it ended with code {process.wait()}"
    return Dev(process, json.loads(line))


def ended(dev: Dev) -> bool:
    """Neither its processes nor its directory are left."""
    own = str(dev.directory).encode()
    return not dev.directory.exists() and not any(own in line for line in command_lines())


def command_lines() -> Iterator[bytes]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            yield file.read_bytes()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    running = start(tmp_path_factory.mktemp("dev"), "--agents", "good=succeed,odd=warn,bad=fail,slow=hang,new*=succeed")
    yield running
    assert running.end(signal.SIGTERM) == 0
    assert ended(running)


def test_named_clients_are_online_at_once(dev: Dev) -> None:
    online = {client["name"] for client in dev.call("GET", "/clients")["clients"] if client["status"] == "online"}
    assert {"good", "odd", "bad", "slow"} <= online
    assert dev.told["pid"] == dev.process.pid
    assert Path(dev.told["token_file"]).read_text().strip() == dev.told["token"]
    assert Path(dev.told["token_file"]).stat().st_mode & 0o077 == 0
    assert Path(dev.told["log"]).exists()


def test_each_agent_does_as_it_is_told(dev: Dev) -> None:
    jobs = {name: dev.back_up(name) for name in ("good", "odd", "bad", "slow")}

    good, odd, bad = (dev.reaches(name, jobs[name], "completed", "failed") for name in ("good", "odd", "bad"))
    assert (good["status"], good["had_warnings"]) == ("completed", False)
    assert (odd["status"], odd["had_warnings"]) == ("completed", True)
    assert (bad["status"], bad["error_log"]) == ("failed", "Simulated: the task failed.")
    assert dev.reaches("slow", jobs["slow"], "running", "completed", "failed")["status"] == "running"

    config = dev.directory / "bbs-server.toml"
    listing = [str(PROGRAM), "--config", str(config), "borg", "--client", "good", "--repository", "main", "--"]
    archive = subprocess.run([*listing, "list", "--short"], capture_output=True, text=True, check=True).stdout.strip()
    text = subprocess.run(
        [*listing, "extract", "--stdout", f"::{archive}"], capture_output=True, text=True, check=True
    ).stdout
    assert text == "A simulated backup of good, plan nightly:\n/etc\n", "the archive is real"

    dev.call("POST", f"/queue/{jobs['slow']}/cancel")
    assert dev.reaches("slow", jobs["slow"], "cancelled")


def test_a_new_cue_counts_at_once(dev: Dev) -> None:
    dev.call("POST", "/clients", {"name": "new1"})
    until(lambda: dev.client("new1")["status"] == "online")
    file = Path(dev.told["agents_file"])
    cues = file.read_text()
    assert cues.splitlines()[-1] == "new*=succeed"
    file.write_text(f"# one hangs\nnew1=hang\n{cues}")
    job = dev.back_up("new1")
    assert dev.reaches("new1", job, "running", "completed")["status"] == "running"
    file.write_text("nonsense")
    file.write_text(f"new1=fail\n{cues}")
    assert dev.reaches("new1", job, "completed", "failed")["status"] == "failed"


def test_a_deleted_client_stays_deleted_and_a_new_one_is_served(dev: Dev) -> None:
    file = Path(dev.told["agents_file"])
    file.write_text(f"brief=succeed\n{file.read_text()}")
    client = until(lambda: [c for c in dev.call("GET", "/clients")["clients"] if c["name"] == "brief"])[0]
    until(lambda: dev.client("brief")["status"] == "online")
    dev.call("DELETE", f"/clients/{client['id']}")
    time.sleep(1)
    assert "brief" not in {c["name"] for c in dev.call("GET", "/clients")["clients"]}
    dev.call("POST", "/clients", {"name": "brief"})
    until(lambda: dev.client("brief")["status"] == "online")


def test_in_the_background_and_found_again(tmp_path: Path) -> None:
    file = tmp_path / "bbs.json"
    environment = os.environ | {"TMPDIR": str(tmp_path)}

    def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [str(PROGRAM), "dev", *arguments]
        return subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )

    assert dev("--stop", str(file)).stdout == "unchanged: not running\n"
    started = dev("--detach", "--file", str(file), "--agents", "web1=offline")
    assert json.loads(started.stdout) == json.loads(file.read_text()), started.stderr
    assert file.stat().st_mode & 0o077 == 0
    again = dev("--file", str(file))
    assert again.returncode == 1 and "end it with" in again.stderr
    assert dev("--stop", str(file)).stdout == "stopped\n"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.end(signal.SIGKILL)
    assert first.directory.exists()
    second = start(tmp_path)
    assert not first.directory.exists()
    until(lambda: ended(first))
    assert second.end(signal.SIGINT) == 0
    assert ended(second)


@pytest.mark.parametrize("cues", ["web1", "web1=", "=fail", "web1=sleep"])
def test_cues_that_are_none(cues: str) -> None:
    done = CliRunner().invoke(command.dev, ["--agents", cues])
    assert done.exit_code == 2
    assert f"'{cues}' is not NAME=BEHAVIOUR; a behaviour is one of succeed, warn, fail, hang, offline." in done.output
