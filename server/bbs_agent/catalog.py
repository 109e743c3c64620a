# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of a backup, streamed to the server while borg runs (agent-protocol.md §6.3)."""

import json
import os
import queue
import signal
import stat
import subprocess
import threading
import time
from contextlib import suppress
from typing import Any, Dict, List, Optional, Tuple

from .logs import LOG

# Borg marks excluded files with x and unreadable ones with E: neither is in the archive.
NOT_ARCHIVED = ("X", "E", "-")
WAITING_LINES = 10000
PATIENCE = 30.0
Entry = Optional[Tuple[str, str]]


class Catalog:
    """A context manager; `add` is called for each file borg lists.

    Whatever goes wrong here costs the catalogue, never the backup: the stream is dropped with one
    line in the log.
    """

    def __init__(self, command: Optional[List[str]]) -> None:
        """`command`: the ssh command whose standard input takes the lines; None for no catalogue."""
        self._lines: "queue.Queue[Entry]" = queue.Queue(WAITING_LINES)
        self._broken = command is None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        if command is not None:
            self._start(command)

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, kind: Any, *_exc: Any) -> None:
        if self._process is not None:
            self._finish(self._process, kind is None)

    def add(self, status: str, path: str) -> None:
        """Queue one file; waits a little for a slow stream, gives up on one that stands still."""
        if self._broken or status.upper() in NOT_ARCHIVED:
            return
        try:
            self._lines.put((status.upper(), path), timeout=PATIENCE)
        except queue.Full:
            self._drop("it stands still")

    def _start(self, command: List[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._drop(str(error))
            return
        self._thread.start()

    def _write(self) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            for status, path in iter(self._lines.get, None):
                if self._broken:
                    break
                process.stdin.write(line_of(status, path))
        except OSError as error:
            self._drop(str(error))
        try:
            process.stdin.close()
        except OSError as error:
            self._drop(str(error))

    def _finish(self, process: "subprocess.Popen[bytes]", completed: bool) -> None:
        if completed and not self._broken:
            self._conclude(process)
        # What waits still is not sent any more.
        self._broken = True
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._thread.join(PATIENCE)
        if process.stderr is not None:
            process.stderr.close()

    def _conclude(self, process: "subprocess.Popen[bytes]") -> None:
        """Send what waits still and the end, and hear that the server has it."""
        try:
            self._lines.put(None, timeout=PATIENCE)
            self._thread.join(PATIENCE)
            code = process.wait(timeout=PATIENCE)
        except (queue.Full, subprocess.TimeoutExpired):
            self._drop("the server does not take its end")
            return
        if code != 0:
            self._drop(_last_words(process) or "exit code {}".format(code))

    def _drop(self, reason: str) -> None:
        if not self._broken:
            self._broken = True
            LOG.warning("The catalogue of this backup is lost, the backup is not: %s", reason)


def line_of(status: str, path: str) -> bytes:
    """One line of the stream; size and time are null when the file is gone already."""
    entry: Dict[str, Any] = {"path": _utf8(path), "status": status, "size": 0, "mtime": None}
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        found = None
    if found is not None:
        entry["size"] = found.st_size if stat.S_ISREG(found.st_mode) else 0
        entry["mtime"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.st_mtime))
    return json.dumps(entry).encode("ascii") + b"\n"


def _last_words(process: "subprocess.Popen[bytes]") -> str:
    """What ssh said before it ended; LogLevel=ERROR keeps that shorter than a pipe's buffer."""
    assert process.stderr is not None
    return process.stderr.read().decode("utf-8", "replace").strip()


def _utf8(path: str) -> str:
    """Bytes that are no UTF-8 become question marks: JSON readers refuse lone surrogates."""
    return path.encode("utf-8", "replace").decode("utf-8")
