# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stopping a job from another thread: the server cancelled it, or the agent itself must end."""

import threading
from typing import Callable, Optional

CANCELLED = "cancelled"
AGENT_STOPPED = "agent stopped"


class Cancelled(Exception):
    """The job has to end now; the text is the reason that is reported."""


class CancelToken:
    """One phase of a job that can be cancelled once; whoever cancels first names the reason."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._reason = ""
        self._stop_child: Optional[Callable[[], None]] = None

    def cancel(self, reason: str) -> None:
        """Ask the phase to end: stops the running child process, makes `check` raise."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason
            self._event.set()
            stop_child = self._stop_child
        if stop_child is not None:
            stop_child()

    def check(self) -> None:
        """Raise Cancelled when `cancel` was called."""
        if self._event.is_set():
            raise Cancelled(self._reason)

    def watch(self, stop_child: Optional[Callable[[], None]]) -> None:
        """Set (or with None clear) what `cancel` calls; called at once if that came first."""
        with self._lock:
            self._stop_child = stop_child
            late = self._event.is_set()
        if late and stop_child is not None:
            stop_child()
