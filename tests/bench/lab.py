# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where rows are measured: a real server of its own, its API, and Ansible with the checkout as a collection."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import collection_path
from database_servers import open_directory, postgres
from live_server import LiveServer, free_port


@dataclass(frozen=True)
class Cost:
    """What a run took.

    :param seconds: on the clock
    :param processor: seconds of the processor, in it and in what it started
    :param output: what it printed
    """

    seconds: float
    processor: float
    output: str


class Lab:
    """A folder and a running server; everything ends with the ``with`` block.

    :param seconds: how long a load lasts
    :param mebibytes: how much data backups are of
    """

    def __init__(self, folder: Path, seconds: float = 10, mebibytes: int = 2048) -> None:
        self.folder = folder
        self.seconds = seconds
        self.mebibytes = mebibytes
        self.server = LiveServer(folder / "server", free_port(), free_port())

    def __enter__(self) -> Lab:
        collection_path.provide()
        self.server.directory.mkdir()
        self.server.begin()
        self.token = self.server.mint("bench")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.end()

    @contextmanager
    def another(
        self, name: str, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> Iterator[tuple[LiveServer, str]]:
        """One more server, and a token for it."""
        server = LiveServer(self.folder / name, free_port(), free_port(), environment or {})
        server.directory.mkdir()
        server.begin(**settings)
        try:
            yield server, server.mint("bench")
        finally:
            server.end()

    @contextmanager
    def as_installed(self) -> Iterator[tuple[LiveServer, str]]:
        """A server as it is installed by default: without PostgreSQL's driver, which is here for the tests."""
        hidden = self.folder / "hidden"
        hidden.mkdir()
        (hidden / "psycopg.py").write_text("raise ImportError\n")
        with self.another("as-installed", {"PYTHONPATH": str(hidden)}) as made:
            yield made

    @contextmanager
    def postgresql(self) -> Iterator[tuple[LiveServer, str]]:
        """A server on a PostgreSQL of its own. That of the tests does not wait for the disk, whereas SQLite does."""
        with open_directory() as directory, postgres(directory / "pg") as cluster:
            cluster.sql("CREATE DATABASE bench")
            with self.another("on-postgresql", database_url=cluster.url("bench")) as made:
                yield made

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the admin API that has to work, such as ``("POST", "/clients", {"name": "web1"})``."""
        request = urllib.request.Request(
            f"{self.server.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.loads(reply.read() or b"null")

    def play(
        self, playbook: str, hosts: list[str], forks: int, server: LiveServer | None = None, token: str = ""
    ) -> Cost:
        """Run a playbook.

        :param playbook: its YAML; ``bbs_url`` and ``bbs_token`` are variables in it
        :param server: another than the laboratory's, with its token
        :return: what it took from the start of ``ansible-playbook`` to its end, without the server
        """
        (self.folder / "play.yml").write_text(playbook)
        variables = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
        (self.folder / "hosts").write_text("".join(f"{host} {variables}\n" for host in hosts))
        values = json.dumps({"bbs_url": (server or self.server).url, "bbs_token": token or self.token})
        command = ["ansible-playbook", "-i", "hosts", "-f", str(forks), "-e", values, "play.yml"]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=self.folder,
            env=os.environ | {"ANSIBLE_HOME": str(self.folder / "ansible"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return Cost(seconds, processor, done.stdout)


def memory(server: LiveServer) -> tuple[float, float]:
    """MiB that a server's own processes take (PSS: shared pages count once), and how much of that is not shared."""
    supervisor = int((server.directory / "run" / "bbs-server.pid").read_text())
    found = [_memory(pid) for pid in _family(supervisor) if (Path("/proc") / str(pid) / "comm").read_text() != "sshd\n"]
    return sum(each["Pss"] for each in found), sum(each["Private_Dirty"] for each in found)


def _family(pid: int) -> list[int]:
    tasks = (Path("/proc") / str(pid) / "task").glob("*/children")
    return [pid, *(each for task in tasks for child in task.read_text().split() for each in _family(int(child)))]


def _memory(pid: int) -> dict[str, float]:
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) / 1024 for name, value in (line.split(":") for line in lines)}
