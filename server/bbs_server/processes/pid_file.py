# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pid file that its process holds locked.

The lock, not the number, tells whether the process runs: a number may have been given to another one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_HOLD_SECONDS = 0.5
_LOOK_SECONDS = 0.02


class AlreadyRunning(Exception):
    """Another process holds the file; the message says which one it is for."""


@dataclass(frozen=True)
class PidFile:
    """One file for one kind of process of one server.

    :param name: what the process is called in messages.
    """

    path: Path
    name: str

    def pid(self) -> int | None:
        """The process id of the holder, None when nobody holds the file.

        Looks with a shared lock, so that those who look do not take each other for the holder.
        """
        try:
            with self.path.open("r+", encoding="ascii") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    text = handle.read().strip()
                    return int(text) if text else None
        except FileNotFoundError:
            pass
        return None

    @contextmanager
    def holding(self) -> Iterator[IO[str]]:
        """Hold the file as this process.

        :return: the open file; a process forked meanwhile has to close it, or it would hold the file as well.
        :raises AlreadyRunning: another process holds it.
        """
        with self.path.open("a+", encoding="ascii") as handle:
            if not _locked(handle):
                raise AlreadyRunning(f"{self.name} of {self.path.parent.parent} runs already.")
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
            yield handle
            handle.truncate(0)


def _locked(handle: IO[str]) -> bool:
    """Lock a file for oneself; somebody who only looks, at this moment, does not count."""
    deadline = time.monotonic() + _HOLD_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
