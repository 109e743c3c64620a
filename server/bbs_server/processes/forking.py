# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that share the memory of the one that starts them: what it has loaded is there once for all."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkProcess

from bbs_server.processes.children import end_with_parent

_PR_SET_NAME = 15
ENDING = (signal.SIGTERM, signal.SIGINT)
"""Signals that tell a process to end."""


def forked(work: Callable[[], object], name: str, number: signal.Signals = signal.SIGTERM) -> ForkProcess:
    """A process that shares this one's memory, does some work, and ends with this one.

    Fork before there are threads. It is in a process group of its own: a Ctrl-C is for this one, which then ends it.

    :param name: what ``ps`` and ``top`` show, at most 15 characters.
    :param number: the signal it gets when this process has ended.
    """
    # What comes before the new process is itself waits until then, and is not taken for this one's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    child = multiprocessing.get_context("fork").Process(target=_begin, args=(work, name, number, os.getpid(), before))
    child.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _begin(work: Callable[[], object], name: str, number: signal.Signals, parent: int, mask: set[int]) -> None:
    for ending in ENDING:
        signal.signal(ending, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    os.setpgid(0, 0)
    end_with_parent(number, parent)
    work()
