# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders for what is needed only for a moment. Those of processes that were killed are found and removed.

Each holds a file that its maker keeps locked as long as it lives. A file, since a network file system shows locks on
folders to nobody else.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = ".lock"


@contextmanager
def folder(parent: Path, prefix: str = "") -> Iterator[Path]:
    """A new folder, closed to others; gone after the ``with`` block."""
    made, lock = _made(parent, prefix)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path, prefix: str = "") -> list[Path]:
    """Remove what killed processes left; returns it."""
    return [found for found in sorted(parent.glob(f"{prefix}*")) if remove_abandoned(found)]


def remove_abandoned(found: Path) -> bool:
    """Remove one folder if its maker was killed; returns whether that is so."""
    try:
        lock = _open(found)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(found, ignore_errors=True)
        return True
    finally:
        os.close(lock)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder, and its lock; before it is locked, somebody may take it for an abandoned one and remove it."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            lock = _open(made)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return made, lock
            os.close(lock)


def _open(made: Path) -> int:
    return os.open(made / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
