# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as it is installed, one file, running beside a laboratory's server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Lab

LOOK_SECONDS = 0.02
LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Agent:
    """A running agent.

    :param client: the path of its client in the admin API
    :param folder: what the installer's prefix would be
    """

    lab: Lab
    client: str
    folder: Path
    pid: int

    @property
    def settings(self) -> Path:
        """Where the key and the known hosts are."""
        return self.folder / "etc" / "bbs-agent"

    @property
    def works(self) -> bool:
        """Whether a job is not over yet. Asking the server fifty times a second would cost what is to be measured."""
        return (self.folder / "var" / "lib" / "bbs-agent" / "journal.json").exists()

    def until(self, look: Any) -> Any:
        """What is found at last."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(LOOK_SECONDS)
        raise AssertionError("It did not happen in time.")


@contextmanager
def agent(lab: Lab, name: str = "measured") -> Iterator[Agent]:
    """Register a client, and run its agent until the block ends."""
    folder = lab.folder / name
    folder.mkdir()
    program = folder / "bbs-agent.pyz"
    urllib.request.urlretrieve(f"{lab.server.url}/api/agent/download?file=bbs-agent.pyz", program)
    created = lab.call("POST", "/clients", {"name": name})
    config = folder / "etc" / "bbs-agent" / "config.ini"
    environment = os.environ | {"BBS_AGENT_CONFIG": str(config), "BORG_BASE_DIR": str(folder / "borg")}
    # The Python of the host, which the installer takes as well.
    command = [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, str(program)]
    configure = [*command, "configure", "--server", lab.server.url]
    subprocess.run(configure, env=environment, input=created["api_key"], text=True, check=True, capture_output=True)
    with subprocess.Popen([*command, "run", "--quiet"], env=environment, stdin=subprocess.DEVNULL) as process:
        running = Agent(lab, f"/clients/{created['id']}", folder, process.pid)
        try:
            running.until(lambda: lab.call("GET", running.client)["last_heartbeat"])
            yield running
        finally:
            process.terminate()
