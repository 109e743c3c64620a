# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The child process that an agent leaves behind when it is killed: a borg that nobody listens to."""

import os
import signal
import time
from contextlib import suppress
from typing import Optional

from .files import read_json, read_text, remove, write_json
from .logs import LOG

LOOK_EVERY = 0.05


class Orphans:
    """Remembers the running child on disk. One at a time; a number that another process has got is not it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def note(self, pid: int) -> None:
        """This child runs, and leads a process group."""
        with suppress(OSError):
            write_json(self._path, {"pid": pid, "started": _started(pid)})

    def forget(self) -> None:
        """The child has ended."""
        remove(self._path)

    def end(self, grace: float) -> None:
        """At the start of an agent: end what the last one left, by SIGTERM (borg then frees its locks).

        After `grace` seconds SIGKILL follows. The server is told that the job was lost, and its next
        one would otherwise find the repository locked.
        """
        note = read_json(self._path)
        remove(self._path)
        pid = note.get("pid") if note is not None else None
        if note is None or not isinstance(pid, int) or not _lives(pid, note.get("started")):
            return
        LOG.warning("Ending process %s, which an earlier agent left behind", pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while _lives(pid, note.get("started")) and time.monotonic() < deadline:
                time.sleep(LOOK_EVERY)
            os.killpg(pid, signal.SIGKILL)


def _lives(pid: int, started: Optional[str]) -> bool:
    return started is not None and _started(pid) == started


def _started(pid: int) -> Optional[str]:
    """When the process was started, in the kernel's own unit; None when there is none (or no /proc)."""
    text = None
    with suppress(OSError):
        text = read_text("/proc/{}/stat".format(pid))
    if text is None:
        return None
    # The second field is the program's name in brackets, in which anything may stand.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
