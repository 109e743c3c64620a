# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running agent leaves for others to see: the lock on its pid file and `state.json`."""

import fcntl
import os
import time
from typing import Any, Dict, Optional

from . import VERSION
from .files import read_json, write_json

ASKING_TAKES = 0.5


class AlreadyRunning(Exception):
    """Another agent holds the lock of this installation."""


class PidFile:
    """A locked pid file. The lock, not the number, says that an agent runs: it ends with it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: Optional[int] = None

    def take(self) -> None:
        """Lock and write our pid. Raises AlreadyRunning."""
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _locked(descriptor):
            # Somebody who asks for the owner holds the lock for a moment; an agent holds it on.
            time.sleep(ASKING_TAKES)
            if not _locked(descriptor):
                os.close(descriptor)
                raise AlreadyRunning("an agent runs already ({})".format(self._path))
        os.ftruncate(descriptor, 0)
        os.write(descriptor, "{}\n".format(os.getpid()).encode("ascii"))
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file goes first, so nobody reads a number that is no more."""
        if self._descriptor is not None:
            os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = None

    def owner(self) -> Optional[int]:
        """The pid of the agent that runs, None when none does."""
        try:
            with open(self._path, encoding="ascii") as stream:
                if _locked(stream.fileno()):
                    return None
                text = stream.read().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() else None


class State:
    """`state.json`: whether the agent is online and, if not, why."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._values: Dict[str, Any] = {}

    def start(self) -> None:
        """Begin a new file: nothing of an earlier process counts any more."""
        self._values = {
            "pid": os.getpid(),
            "version": VERSION,
            "started_at": int(time.time()),
            "online": False,
            "problem": "the agent has just started",
        }
        write_json(self._path, self._values)

    def update(self, **values: Any) -> None:
        """Change some values; writes only when one really is different."""
        merged = dict(self._values, **values)
        if merged != self._values:
            self._values = merged
            write_json(self._path, merged)

    @staticmethod
    def read(path: str) -> Dict[str, Any]:
        """The state of whatever agent wrote last, {} when none ever did."""
        return read_json(path) or {}


def _locked(descriptor: int) -> bool:
    """Take the lock without waiting; False when another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
