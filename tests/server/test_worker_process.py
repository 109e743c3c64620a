# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker as a process of its own, cut off in the middle of its work: killed, told to stop, its job cancelled."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bbs_server.models import Lease
from bbs_server.scheduling import leases
from bbs_server.services import repository_access

from . import backups
from .conftest import Server

COMMANDS = {"prune": "prune", "compact": "compact", "check": "check"}
"""Maintenance, and the borg command that does it."""

DEADLINE_SECONDS = 120

QUICK_LOOK = "--lock-wait=5"
"""Borg looks at a lock again after a tenth of this time."""

T = TypeVar("T")


@pytest.fixture
def path(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> str:
    """A repository with something to prune and to compact."""
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "frequency": "manual"}
    none = dict.fromkeys(("prune_minutes", "prune_hours", "prune_weeks", "prune_months"), 0)
    plan = server.post(f"/clients/{client['id']}/plans", body | none | {"prune_days": 1})["id"]
    for index in range(3):
        backups.make_archive(server, repository, f"plan{plan}-{index}")
    return f"/clients/{client['id']}/repositories/{repository['id']}"


@contextmanager
def worker(server: Server, lease_seconds: int = 5) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the server under test."""
    file = server.run.settings.directory / "bbs-server.toml"
    file.write_text(
        f'server_host = "bbs.example"\nworker_interval = 1\nretry_delay_seconds = 1\nlease_seconds = {lease_seconds}\n'
    )
    command = [sys.executable, "-P", "-m", "bbs_server", "--config", str(file), "worker"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def until(look: Callable[[], T | None]) -> T:
    """What is seen first; looks often enough to meet a borg in the middle of its work."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.001)
    raise AssertionError("It did not happen in time.")


def stopped_borg(repository: Path, command: str) -> int:
    """The process of the borg that holds the repository's lock for this command, stopped where it is."""
    borg = until(lambda: running_borg(repository, command))
    # In small steps, and after everybody else on a busy machine, so that it does not get past the lock unseen.
    os.setpriority(os.PRIO_PROCESS, borg, 19)
    while not (repository / "lock.exclusive").exists():
        os.kill(borg, signal.SIGCONT)
        time.sleep(0.002)
        os.kill(borg, signal.SIGSTOP)
    return borg


def running_borg(repository: Path, command: str) -> int | None:
    """The process of a borg, which takes most of a second to begin."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if {command.encode(), str(repository).encode()} <= set(words) and b"-I" not in words:
            return int(process.name)
    return None


def ended(server: Server, job_id: int) -> dict[str, Any]:
    """A job when it has ended, and nobody works on it any more."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = backups.job(server, job_id)
        over = job["status"] in ("completed", "failed", "cancelled") and job["duration_seconds"] is not None
        time.sleep(0.05)
        return job if over else None

    return until(look)


def assert_sound(server: Server, repository: dict[str, Any], path: str) -> None:
    """The repository is free, whole, and the records are what borg lists."""
    place = backups.directory(server, repository)
    assert not (place / "lock.exclusive").exists()
    backups.borg("check", str(place))
    listed = {row["name"] for row in server.get(f"{path}/archives")["archives"]}
    assert listed == set(backups.names(server, repository))


def leader(server: Server) -> str:
    """The process that leads the schedule; empty when none does."""
    with server.run.database.connection_context():
        lease = Lease.get_or_none(Lease.name == leases.SCHEDULING)
    return lease.holder.split(":")[1] if lease else ""


def test_the_next_worker_of_the_machine_leads_at_once_when_one_was_killed(server: Server) -> None:
    hour = 3600
    with worker(server, lease_seconds=hour) as first:
        until(lambda: leader(server) == str(first.pid))
        with worker(server, lease_seconds=hour) as second:
            until(lambda: list(server.run.settings.run_directory.glob(f"worker-*:{second.pid}:*")))
            second.terminate()
            second.wait()
        assert leader(server) == str(first.pid)
        first.kill()
    with worker(server, lease_seconds=hour) as third:
        until(lambda: leader(server) == str(third.pid))
        third.terminate()
        third.wait()
    assert leader(server) == ""
    assert not list(server.run.settings.run_directory.glob("worker-*"))


@pytest.mark.slow
@pytest.mark.parametrize("action", COMMANDS)
def test_the_job_of_a_killed_worker_is_done_by_the_next_one(
    server: Server, repository: dict[str, Any], path: str, action: str
) -> None:
    place = backups.directory(server, repository)
    job_id = server.post(f"{path}/maintenance", {"action": action})["job_id"]
    with worker(server) as process:
        borg = stopped_borg(place, COMMANDS[action])
        process.kill()
    os.kill(borg, signal.SIGCONT)  # only now it hears that it is to end
    assert backups.job(server, job_id)["status"] == "running"

    with worker(server):
        done = ended(server, job_id)

    assert done["status"] == "completed", done["error_log"]
    assert any("stopped in the middle" in line["message"] for line in done["logs"])
    assert_sound(server, repository, path)


def test_a_cancelled_job_ends_its_borg_before_the_repository_is_free(
    server: Server, repository: dict[str, Any], path: str
) -> None:
    place = backups.directory(server, repository)
    job_id = server.post(f"{path}/check")["job_id"]
    with worker(server):
        borg = stopped_borg(place, "check")
        server.post(f"/queue/{job_id}/cancel")
        next_id = server.post(f"{path}/maintenance", {"action": "compact"})["job_id"]
        assert (place / "lock.exclusive").exists()
        assert backups.job(server, next_id)["status"] == "queued"
        os.kill(borg, signal.SIGCONT)
        assert ended(server, job_id)["status"] == "cancelled"
        assert ended(server, next_id)["status"] == "completed"
    assert_sound(server, repository, path)


def test_a_job_that_was_cancelled_before_its_worker_was_killed_frees_its_repository(
    server: Server, repository: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its borg is killed as well; the next one sees that the lock is nobody's."""
    place = backups.directory(server, repository)
    job_id = server.post(f"{path}/check")["job_id"]
    with worker(server) as process:
        borg = stopped_borg(place, "check")
        server.post(f"/queue/{job_id}/cancel")
        process.kill()
    os.kill(borg, signal.SIGKILL)

    monkeypatch.setattr(repository_access, "LOCK_WAIT", QUICK_LOOK)
    next_id = server.post(f"{path}/maintenance", {"action": "compact"})["job_id"]
    # The worker's clock is the real one, in which its lease has ended by now; the test's stands still.
    server.clock.now = datetime.now(UTC) + timedelta(minutes=10)
    server.work()

    assert backups.job(server, job_id)["status"] == "cancelled"
    assert backups.job(server, next_id)["status"] == "completed"
    assert_sound(server, repository, path)


def fill(file: Path) -> None:
    """Write until the disk is full."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC
    finally:
        os.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_fails_the_job_in_plain_words_and_the_next_run_works(
    server: Server, client: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository_access, "LOCK_WAIT", QUICK_LOOK)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        location = server.post("/storage", {"label": "small", "path": str(disk)})["id"]
        body = {"name": "tight", "encryption": "none", "storage_location_id": location}
        repository = server.post(f"/clients/{client['id']}/repositories", body)
        path = f"/clients/{client['id']}/repositories/{repository['id']}"
        archive = backups.make_archive(server, repository, "plan1-a")
        filler = disk / "filler"
        fill(filler)

        failed = server.call("DELETE", f"{path}/archives/{archive}").json["job_id"]
        server.work()

        told = backups.job(server, failed)
        assert (told["status"], told["error_log"].splitlines()[0]) == (
            "failed",
            "No space left on device: the disk of the repository is full; free some space",
        )
        assert len(server.get(f"{path}/archives")["archives"]) == 1
        filler.unlink()
        again = server.post(f"/queue/{failed}/retry")["job_id"]
        server.work()
        assert backups.job(server, again)["status"] == "completed"
        assert_sound(server, repository, path)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
