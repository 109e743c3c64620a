# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pid file that its process holds locked.

The lock, not the number, tells whether the process runs: a number may have been given to another one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


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
        """The process id of the holder, None when nobody holds the file."""
        try:
            with self.path.open("r+", encoding="ascii") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    text = handle.read().strip()
                    return int(text) if text else None
        except FileNotFoundError:
            pass
        return None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold the file as this process.

        :raises AlreadyRunning: another process holds it.
        """
        with self.path.open("a+", encoding="ascii") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunning(f"{self.name} of {self.path.parent.parent} runs already.") from error
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
            yield
            handle.truncate(0)
