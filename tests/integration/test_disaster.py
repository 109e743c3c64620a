# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's machine is gone: the guide's commands bring it back, from its own backup and the storage."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..database_servers import Postgres, open_directory, postgres
from .conftest import ROOT, LiveServer, free_port

PATIENCE_SECONDS = 120


def commands() -> list[list[str]]:
    """What the guide says, by hand."""
    page = (ROOT / "docs" / "guides" / "disaster-recovery.md").read_text()
    section = page.split("\n## The server's machine is gone\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line.split() for line in block.splitlines()]


def backed_up(server: LiveServer, token: str, base: str, plan: int) -> dict[str, Any]:
    """Back up, by a real agent; the job."""
    job = server.call(token, "POST", f"{base}/plans/{plan}/trigger")["job_id"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found: dict[str, Any] = server.call(token, "GET", f"{base}/jobs/{job}")
        if found["status"] in ("completed", "failed"):
            assert found["status"] == "completed", found["error_log"]
            return found
        time.sleep(0.1)
    raise AssertionError("No backup in time.")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Postgres | None]:
    """A PostgreSQL server with an empty database; None: SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with open_directory() as directory, postgres(directory / "pg") as cluster:
        cluster.sql("CREATE DATABASE bbs")
        yield cluster


@pytest.fixture
def server(tmp_path: Path, database: Postgres | None) -> Iterator[LiveServer]:
    """A server whose repositories lie on a disk of their own."""
    (tmp_path / "machine").mkdir()
    (tmp_path / "disk").mkdir()
    made = LiveServer(tmp_path / "machine", free_port(), free_port())
    settings = {"storage_path": str(tmp_path / "disk")} | ({"database_url": database.url("bbs")} if database else {})
    # What the lost worker was doing is taken up when its lease has ended.
    made.begin(web_processes=1, lease_seconds=5, **settings)
    yield made
    made.command("bbs-server", "stop")


def lose(server: LiveServer, database: Postgres | None) -> None:
    """The machine is gone, the database with it; an empty one is made where it was."""
    server.end()
    shutil.rmtree(server.directory)
    if database:
        database.sql("DROP DATABASE bbs WITH (FORCE)")
        database.sql("CREATE DATABASE bbs")


@pytest.mark.slow
def test_a_lost_machine_comes_back_and_agents_go_on(
    server: LiveServer, database: Postgres | None, tmp_path: Path
) -> None:
    token = server.mint("disaster")
    client = server.call(token, "POST", "/clients", {"name": "web01"})
    base = f"/clients/{client['id']}"
    repository = server.call(token, "POST", f"{base}/repositories", {"name": "main"})
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("precious")
    body = {"name": "p", "repository_id": repository["id"], "directories": str(data), "frequency": "manual"}
    plan = server.call(token, "POST", f"{base}/plans", body)["id"]

    agent = [sys.executable, "-m", "bbs_agent"]
    environment = os.environ | {
        "BBS_AGENT_CONFIG": str(tmp_path / "agent" / "config.ini"),
        "BORG_BASE_DIR": str(tmp_path / "agent" / "borg"),
    }
    configure = [*agent, "configure", "--server", server.url]
    subprocess.run(configure, env=environment, input=client["api_key"], text=True, check=True, capture_output=True)
    with subprocess.Popen([*agent, "run", "--quiet"], env=environment) as process:
        try:
            first = backed_up(server, token, base, plan)
            made = server.command("bbs-server", "backup", str(tmp_path / "safe"))
            assert made.returncode == 0, made.stderr
            (file,) = (tmp_path / "safe").iterdir()
            later = server.call(token, "POST", "/clients", {"name": "made-later"})
            server.call(token, "POST", f"/clients/{later['id']}/repositories", {"name": "x", "encryption": "none"})

            # It would wait longer and longer for a server that is away.
            process.send_signal(signal.SIGSTOP)
            lose(server, database)
            for command, *arguments in commands():
                given = [str(file) if word == "FILE" else word for word in arguments if word != "--host-keys"]
                done = server.command(command, *given)
                assert done.returncode == 0, done.stdout + done.stderr

            process.send_signal(signal.SIGCONT)
            second = backed_up(server, token, base, plan)
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()

    listed = server.command("bbs-server", "borg", "--client", "web01", "--repository", "main", "list", "--short")
    archives = [first["archive_name"], second["archive_name"]]
    assert listed.stdout.split() == archives, listed.stderr
    (orphan,) = (tmp_path / "disk" / ".orphans").iterdir()
    assert (orphan / "x" / "config").is_file()
    again = server.call(token, "POST", "/clients", {"name": "made-later"})
    assert again["id"] == later["id"], "its folder is out of the way"

    lose(server, database)
    alone(tmp_path / "disk" / str(client["id"]) / "main", repository["passphrase"], archives[0], tmp_path / "restored")
    assert (tmp_path / "restored" / str(data).lstrip("/") / "file").read_text() == "precious"


def alone(repository: Path, passphrase: str, archive: str, target: Path) -> None:
    """Restore an archive with borg and the escrowed passphrase."""
    target.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(target.parent / "home"),
        "BORG_PASSPHRASE": passphrase,
        # The answer to whether a repository that this machine has not seen under this path may be opened.
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }
    command = ["borg", "extract", f"{repository}::{archive}"]
    subprocess.run(command, cwd=target, env=environment, check=True, capture_output=True)
