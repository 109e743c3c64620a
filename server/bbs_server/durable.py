# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes to folders that outlive a power cut.

A file system may keep the order of what was done to itself, not to files and a database. So whatever a row of the
database tells of is settled before the row is.
"""

from __future__ import annotations

import os
from pathlib import Path


def settle(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(file: Path, text: str) -> None:
    """Write a new file, or another content into one; on the disk when this returns."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    settle(file.parent)


def replace(source: Path, target: Path) -> None:
    """Put a file that is written in the place of another, or of none: readers see one of them, whole."""
    settle(source)
    source.replace(target)
    settle(target.parent)


def rename(source: Path, target: Path) -> None:
    """Move a folder."""
    source.rename(target)
    for parent in {source.parent, target.parent}:
        settle(parent)


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder.

    :raises FileExistsError: it is there.
    """
    folder.mkdir(mode=mode)
    settle(folder.parent)
