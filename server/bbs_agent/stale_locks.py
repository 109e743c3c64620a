# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks of borg processes that were killed, removed before the next borg meets them.

Borg removes such a lock too, but looks only every tenth part of the time it may wait: with the ten
minutes of `--lock-wait=600` its work begins a minute late.
"""

import glob
import os
import socket
import uuid
from contextlib import suppress
from typing import Mapping

LOCK = "lock.exclusive"


def free_repository(path: str) -> None:
    """Free a repository in a directory of this machine."""
    _free(os.path.join(path, LOCK))


def free_caches(environment: Mapping[str, str]) -> None:
    """Free the caches that a borg with this environment would use."""
    home = environment.get("BORG_BASE_DIR") or os.path.expanduser("~")
    caches = environment.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    caches = environment.get("BORG_CACHE_DIR") or os.path.join(caches, "borg")
    for lock in glob.glob(os.path.join(glob.escape(caches), "*", LOCK)):
        _free(lock)


def _free(lock: str) -> None:
    """Remove a lock, if nobody holds it any more. It is a directory with one file for its holder."""
    with suppress(OSError):
        names = os.listdir(lock)
        if names and all(_is_dead(name) for name in names):
            for name in names:
                os.unlink(os.path.join(lock, name))
            # Fails when somebody has got the lock meanwhile, and that is right.
            os.rmdir(lock)


def _is_dead(name: str) -> bool:
    """Whether a holder, written `host@node.pid-thread`, was a process of this machine and has ended."""
    host_and_pid, _dash, _thread = name.rpartition("-")
    host, _dot, pid = host_and_pid.rpartition(".")
    host, _at, node = host.rpartition("@")
    here = socket.gethostname()
    if not pid.isdigit() or node != str(uuid.getnode()) or not (host == here or host.startswith(here + ".")):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
