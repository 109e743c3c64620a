# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our agent and our server as processes of their own: what they do together, and what cuts them off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..much_data import fill
from .conftest import ROOT, LiveServer

sys.path.insert(0, str(ROOT / "tests" / "server"))

from remote_host import remote_host

DEADLINE_SECONDS = 180
TERMINAL = ("completed", "failed", "cancelled")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@dataclass(frozen=True)
class Host:
    """A machine that is backed up: a client of the server, with a running agent and a repository."""

    server: LiveServer
    token: str
    identifier: int
    directory: Path

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the admin API about this client."""
        return self.server.call(self.token, method, f"/clients/{self.identifier}{path}", body)

    def repository(self, name: str, **values: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "/repositories", {"name": name, "encryption": "none", **values})
        return made

    def plan(self, repository: dict[str, Any], *directories: Path, **values: Any) -> int:
        body = {"name": repository["name"], "repository_id": repository["id"], "frequency": "manual"}
        listed = "\n".join(str(directory) for directory in directories)
        return int(self.call("POST", "/plans", {**body, "directories": listed, **values})["id"])

    def back_up(self, plan: int) -> int:
        return int(self.call("POST", f"/plans/{plan}/trigger")["job_id"])

    def job(self, identifier: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/jobs/{identifier}")
        return found

    def ended(self, identifier: int) -> dict[str, Any]:
        """A job when it has ended."""
        return until(lambda: job if (job := self.job(identifier))["status"] in TERMINAL else None)


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("It did not happen in time.")


def borg(*arguments: str) -> str:
    answers = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    done = subprocess.run(["borg", *arguments], env=os.environ | answers, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_sound(place: Path, *archives: str) -> None:
    """The repository is free, whole, and holds these archives."""
    assert not (place / "lock.exclusive").exists()
    borg("check", str(place))
    assert borg("list", "--short", str(place)).split() == list(archives)


@pytest.fixture(scope="module")
def host(live_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory, token = tmp_path_factory.mktemp("host"), live_server.mint("agent and server")
    created = live_server.call(token, "POST", "/clients", {"name": "host"})
    config = directory / "etc" / "bbs-agent" / "config.ini"
    environment = os.environ | {"BBS_AGENT_CONFIG": str(config), "BORG_BASE_DIR": str(directory / "borg")}
    agent = [sys.executable, "-m", "bbs_agent"]
    configure = [*agent, "configure", "--server", live_server.url]
    subprocess.run(configure, env=environment, input=created["api_key"], text=True, check=True, capture_output=True)
    with subprocess.Popen([*agent, "run", "--quiet"], env=environment) as process:
        yield Host(live_server, token, created["id"], directory)
        process.terminate()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Something to back up."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "needle.txt").write_text("found")
    return folder


def place_of(host: Host, repository: dict[str, Any]) -> Path:
    return host.server.directory / "repositories" / str(host.identifier) / str(repository["name"])


def test_a_backup_can_be_looked_into_and_its_source_too(host: Host, data: Path) -> None:
    """The catalogue goes the whole way: agent, ssh, gate, worker, API. So does the listing of a directory."""
    repository = host.repository("whole-way")
    done = host.ended(host.back_up(host.plan(repository, data)))
    assert done["status"] == "completed", done["error_log"]

    def found() -> Any:
        return host.call("GET", "/catalog/search?q=needle")["results"]

    (entry,) = until(found)
    assert (entry["file_path"], entry["file_size"]) == (str(data / "deep" / "needle.txt"), 5)
    listed = host.call("GET", f"/repositories/{repository['id']}/archives/{entry['archive_id']}/files?path={data}")
    assert [directory["dir_name"] for directory in listed["dirs"]] == ["deep"]

    listing = host.ended(host.call("POST", "/list-dir", {"path": str(data), "depth": 2})["job_id"])
    assert listing["status"] == "completed", listing["error_log"]
    tree = json.loads(listing["task_result"])
    assert tree["entries"][0]["entries"][0]["name"] == "needle.txt"


@pytest.mark.slow
def test_a_repository_at_a_storage_provider(host: Host, data: Path) -> None:
    """The agent sends straight to a third host, under an account of its own; the server checks what is there."""
    with remote_host() as provider:
        place = provider.place("clients")
        config = host.server.call(
            host.token, "POST", "/remote-ssh-configs", provider.config(remote_base_path=str(place))
        )
        repository = host.repository("off-site", storage_type="remote_ssh", remote_ssh_config_id=config["id"])
        done = host.ended(host.back_up(host.plan(repository, data)))
        assert done["status"] == "completed", done["error_log"]
        checked = host.ended(host.call("POST", f"/repositories/{repository['id']}/check")["job_id"])
        assert checked["status"] == "completed", checked["error_log"]
        until(lambda: host.server.call(host.token, "GET", "/queue")["count"] == 0)
        assert {path.stat().st_uid for path in place.rglob("*")} == {provider.uid}
        assert_sound(place / "off-site", done["archive_name"])


def test_sshd_killed_in_mid_transfer(host: Host, data: Path) -> None:
    repository = host.repository("cut-line")
    fill(data / "much", 20_000_000)
    plan = host.plan(repository, data, advanced_options="--upload-ratelimit 500")
    job = host.back_up(plan)
    until(lambda: host.job(job)["bytes_processed"])

    for session in sessions(host.server):
        os.kill(session, signal.SIGKILL)

    failed = host.ended(job)
    assert failed["status"] == "failed"
    first, second = failed["error_log"].splitlines()[:2]
    assert first == "The connection to the repository was lost.", failed
    assert second.startswith("ssh to the server works now: "), failed
    assert "BrokenPipeError" not in failed["error_log"] and "Local Exception" not in failed["error_log"]
    shutil.rmtree(data / "much")
    again = host.ended(host.back_up(plan))
    assert again["status"] == "completed", again["error_log"]
    assert_sound(place_of(host, repository), again["archive_name"])


def sessions(server: LiveServer) -> list[int]:
    """The processes of the private sshd that serve connections, and what they run; not the sshd that listens."""
    supervisor = int((server.directory / "run" / "bbs-server.pid").read_text())
    listeners = [pid for pid in children(supervisor) if b"sshd" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    found, waiting = [], [child for listener in listeners for child in children(listener)]
    while waiting:
        found.append(waiting.pop())
        waiting += children(found[-1])
    return [pid for pid in found if b"sshd" in Path(f"/proc/{pid}/comm").read_bytes()]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own; what is yielded gives it another size."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], check=True)
    try:
        yield lambda more: (subprocess.run(["mount", "-o", f"remount,size={more}", str(directory)], check=True), None)[
            1
        ]
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@needs_root
def test_a_repository_whose_disk_is_full(host: Host, data: Path, tmp_path: Path) -> None:
    (data / "big").write_bytes(os.urandom(20_000_000))
    with small_disk(tmp_path / "disk", "8m") as resize:
        body = {"label": "small", "path": str(tmp_path / "disk")}
        location = host.server.call(host.token, "POST", "/storage", body)["id"]
        repository = host.repository("tight", storage_location_id=location)
        plan = host.plan(repository, data)

        failed = host.ended(host.back_up(plan))
        assert failed["status"] == "failed"
        assert failed["error_log"].startswith("No space left on device"), failed["error_log"]

        resize("64m")
        done = host.ended(host.back_up(plan))
        assert done["status"] == "completed", done["error_log"]
        assert_sound(tmp_path / "disk" / str(host.identifier) / "tight", done["archive_name"])
