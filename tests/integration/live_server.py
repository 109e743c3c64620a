# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bundled server as its own processes, for tests and measurements."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children(parent: int) -> set[int]:
    """All processes below one."""
    direct = {int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}
    return direct.union(*(children(child) for child in direct))


@dataclass(frozen=True)
class LiveServer:
    """The bundled server as its own processes: web, worker and a private sshd."""

    directory: Path
    port: int
    ssh_port: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.directory / "bbs-server.toml"

    def begin(self, **settings: int | str) -> None:
        """Write the configuration, initialise, start.

        :param settings: more of the configuration, such as ``web_processes``
        """
        known = {"listen_port": self.port, "ssh_port": self.ssh_port, "agent_poll_interval": 1, "worker_interval": 1}
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**known, **settings}.items()]
        self.config.write_text("\n".join([*lines, "private_sshd = true", ""]))
        for step in ("init", "start"):
            done = self.command("bbs-server", step)
            assert done.returncode == 0, done.stderr

    def end(self) -> None:
        stopped = self.command("bbs-server", "stop")
        assert stopped.stdout == "stopped\n", stopped.stderr

    def command(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the server's programs."""
        return subprocess.run(
            [str(Path(sys.executable).parent / program), *arguments],
            env=os.environ | self.environment | {"BBS_SERVER_CONFIG": str(self.config)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def mint(self, name: str) -> str:
        minted = self.command("bbs-token", "create", "--name", name)
        assert minted.returncode == 0, minted.stderr
        return minted.stdout.strip()

    def call(self, token: str, method: str, path: str, body: Any = None) -> Any:
        """A request to the admin API.

        :raises urllib.error.HTTPError: it was refused.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as reply:
            return json.load(reply)
