# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes that end with the process that started them, however that one ends (prctl(2), PR_SET_PDEATHSIG).

Run as a script, this file is the launcher: it asks the kernel for the signal and becomes the command. A
``preexec_fn`` is not safe in a program with threads, and not every distribution's ``setpriv`` can do it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def ending_with_parent(command: Sequence[str], number: signal.Signals = signal.SIGTERM) -> list[str]:
    """The command in a form that ends with the caller; its process id is the command's own.

    The kernel looks at the thread that starts it, so that thread has to outlive the command or wait for it.

    :param command: begins with a path, not with a name.
    :param number: the signal it gets when the caller has ended.
    """
    return [sys.executable, "-I", "-S", __file__, str(int(number)), str(os.getpid()), *command]


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Let the kernel send this process a signal when the process that started it has ended.

    :param parent: the process that shall be the parent; if it is not, this one ends at once.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(1)


if __name__ == "__main__":
    end_with_parent(signal.Signals(int(sys.argv[1])), int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
