# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting, stopping and asking about an agent in the background (installations under a prefix)."""

import os
import signal
import subprocess
import sys
import time
from typing import List, NamedTuple, Optional

from .config import Layout
from .state import PidFile, State

START_TIMEOUT = 15.0
STOP_TIMEOUT = 90.0
LOOK_EVERY = 0.1


class ServiceError(Exception):
    """Starting or stopping failed; the text is one sentence for a person."""


class Status(NamedTuple):
    """Whether the agent of an installation is online, and one sentence about it."""

    online: bool
    text: str


def own_zipapp() -> Optional[str]:
    """The file this agent runs from; None in a checkout."""
    container = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return container if os.path.isfile(container) else None


def own_command() -> List[str]:
    """The command line that runs this very agent: the zipapp, or the package of a checkout."""
    zipapp = own_zipapp()
    if zipapp is not None:
        return [sys.executable, zipapp]
    container = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = "import sys; sys.path.insert(0, {!r}); from bbs_agent.__main__ import main; main()"
    return [sys.executable, "-c", code.format(container)]


def start(layout: Layout) -> str:
    """Start the agent in the background; a sentence about it. Raises ServiceError."""
    pid_file = PidFile(layout.pid)
    running = pid_file.owner()
    if running is not None:
        return "already running with pid {}".format(running)
    os.makedirs(os.path.dirname(layout.log), exist_ok=True)
    # What Python itself says (a traceback at start) belongs into the log too.
    log = os.open(layout.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            own_command() + ["run", "--quiet", "--config", layout.config],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if pid_file.owner() == process.pid:
            return "started with pid {}".format(process.pid)
        if process.poll() is not None:
            break
        time.sleep(LOOK_EVERY)
    raise ServiceError("the agent did not start; see {}".format(layout.log))


def stop(layout: Layout) -> str:
    """End the agent of this installation; a sentence about it. Raises ServiceError."""
    pid_file = PidFile(layout.pid)
    pid = pid_file.owner()
    if pid is None:
        return "not running"
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while pid_file.owner() == pid:
        if time.monotonic() > deadline:
            raise ServiceError("the agent with pid {} does not stop; see {}".format(pid, layout.log))
        time.sleep(LOOK_EVERY)
    return "stopped"


def status(layout: Layout, wait: float = 0.0) -> Status:
    """How the agent is; with `wait` (seconds) give it time to come online."""
    deadline = time.monotonic() + wait
    while True:
        found = _status(layout)
        if found.online or time.monotonic() >= deadline:
            return found
        time.sleep(LOOK_EVERY)


def _status(layout: Layout) -> Status:
    pid = PidFile(layout.pid).owner()
    if pid is None:
        return Status(False, "not running")
    state = State.read(layout.state)
    if state.get("pid") != pid:
        return Status(False, "starting (pid {})".format(pid))
    if not state.get("online"):
        return Status(False, "running (pid {}), but not online: {}".format(pid, state.get("problem")))
    return Status(True, "online as {}{} (pid {})".format(state.get("name"), _busy(state.get("job")), pid))


def _busy(job: Optional[int]) -> str:
    return "" if job is None else ", working on job {}".format(job)
