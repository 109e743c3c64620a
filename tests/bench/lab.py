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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

import collection_path
from live_server import LiveServer, free_port


@dataclass(frozen=True)
class Cost:
    """What a run took.

    :param seconds: on the clock
    :param processor: seconds of the processor, in it and in what it started
    """

    seconds: float
    processor: float


class Lab:
    """A folder and a running server; everything ends with the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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

    def play(self, playbook: str, hosts: list[str], forks: int) -> Cost:
        """Run a playbook.

        :param playbook: its YAML; ``bbs_url`` and ``bbs_token`` are variables in it
        :return: what it took from the start of ``ansible-playbook`` to its end, without the server
        """
        (self.folder / "play.yml").write_text(playbook)
        variables = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
        (self.folder / "hosts").write_text("".join(f"{host} {variables}\n" for host in hosts))
        values = json.dumps({"bbs_url": self.server.url, "bbs_token": self.token})
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
        return Cost(seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
