# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories in the making: in a folder under a name of their own, which is locked as long as its maker lives."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bbs_server.runtime import Runtime

_PREFIX = ".new-"


@contextmanager
def draft(run: Runtime, parent: Path) -> Iterator[Path]:
    """A new empty folder, gone after the ``with`` block unless it was moved away; a rehearsal makes none."""
    folder = parent / f"{_PREFIX}{run.token_bytes(8).hex()}"
    if run.rehearsing:
        yield folder
        return
    folder.mkdir(mode=0o700)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def is_draft(folder: Path) -> bool:
    """Whether a folder is, or was to be, a repository in the making."""
    return folder.name.startswith(_PREFIX)


def remove_abandoned(folder: Path) -> bool:
    """Remove a draft whose maker was killed; returns whether it was one."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(lock)
