# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A clean copy of the project, and the quickstart run in it as a new user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .live_server import LiveServer, free_port

__all__ = ["LiveServer", "free_port"]

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 400

# What belongs to this test run and must not reach a user's run.
_OWN_VARIABLES = re.compile("ANSIBLE_|BBS_|PYTEST|VIRTUAL_ENV|MAKE|MFLAGS")


@dataclass(frozen=True)
class Run:
    """What a command printed, and how it ended."""

    code: int
    output: str

    def changed_tasks(self) -> list[str]:
        """Names of the tasks that changed something, in order."""
        found, task = [], ""
        for line in self.output.splitlines():
            if match := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*)\]", line):
                task = match[1]
            elif line.startswith("changed:"):
                found.append(task)
        return found

    def archives(self) -> list[str]:
        """The archives that borg listed."""
        return re.findall(r"^(plan\d+-\S+) ", self.output, re.MULTILINE)


@dataclass(frozen=True)
class Checkout:
    """A copy of the project with ports of its own."""

    path: Path
    port: int
    ssh_port: int

    @property
    def state(self) -> Path:
        return self.path / ".quickstart"

    @property
    def home(self) -> Path:
        """The home of the user who runs it, empty at first."""
        return self.path.parent / "home"

    @property
    def bin(self) -> Path:
        return self.path / ".venv" / "bin"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _OWN_VARIABLES.match(name)}
        return kept | {
            "HOME": str(self.home),
            "QUICKSTART_PORT": str(self.port),
            "QUICKSTART_SSH_PORT": str(self.ssh_port),
            "PYTHON": os.path.realpath(sys.executable),
        }

    def make(self, target: str, prefix: tuple[str, ...] = ()) -> Run:
        return self.run(*prefix, "make", target)

    def run(self, *command: str, **variables: str) -> Run:
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return Run(done.returncode, done.stdout)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The files git knows or would know, in an empty folder; cleaned up as a user cleans up."""
    target = tmp_path_factory.mktemp("clone") / "bbs"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    copy = Checkout(target, free_port(), free_port())
    copy.home.mkdir()
    yield copy
    copy.make("clean")


@pytest.fixture(scope="session")
def first_run(checkout: Checkout) -> Run:
    """The first `make quickstart`."""
    return checkout.make("quickstart")


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("live"), free_port(), free_port())
    server.begin(web_processes=1)
    yield server
    server.end()
