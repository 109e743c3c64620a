# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ending the agent by SIGTERM or SIGINT."""

import signal
import socket
import threading
from typing import Callable


def on_termination(stop: Callable[[], None]) -> None:
    """Call `stop` in a thread when a signal asks the process to end.

    A handler proper would run in the main thread between any two instructions, perhaps while that
    holds the very lock `stop` needs; so Python writes a byte to a socket and a thread reads it.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_args: None)

    def _wait() -> None:
        # The writer must live as long as the thread does.
        with reader, writer:
            while reader.recv(1):
                stop()

    threading.Thread(target=_wait, daemon=True).start()
