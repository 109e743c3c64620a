# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing files that nobody else may read, and that are never half written."""

import glob
import json
import os
import stat
import tempfile
import time
from contextlib import suppress
from typing import Any, Dict, Optional

PRIVATE = 0o600
# A file that takes longer to be written is one whose writer was killed.
WRITTEN_WITHIN = 60.0


def write_private(path: str, text: str) -> bool:
    """Make `path` a 0600 file holding `text`; returns whether anything had to change.

    The content goes to a new file beside it which then takes its place, so a reader sees the old
    text or the new one and the secret is never on disk with wider permissions.
    """
    if read_text(path) == text and stat.S_IMODE(os.stat(path).st_mode) == PRIVATE:
        return False
    replace_private(path, text)
    return True


def replace_private(path: str, text: str) -> None:
    """`write_private` that writes in any case; afterwards the text outlives a power cut."""
    directory, name = os.path.split(os.path.abspath(path))
    os.makedirs(directory, exist_ok=True)
    # mkstemp opens with O_EXCL and mode 0600.
    handle, temporary = tempfile.mkstemp(prefix="." + name + ".", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _keep_names(directory)


def remove_unfinished(path: str) -> None:
    """Remove what `replace_private` left beside `path` when it was killed."""
    directory, name = os.path.split(os.path.abspath(path))
    for found in glob.glob(os.path.join(glob.escape(directory), "." + glob.escape(name) + ".*")):
        with suppress(FileNotFoundError):
            if time.time() - os.lstat(found).st_mtime > WRITTEN_WITHIN:
                os.unlink(found)


def write_json(path: str, value: Dict[str, Any]) -> bool:
    """`write_private` for one JSON object."""
    return write_private(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_text(path: str) -> Optional[str]:
    """The text of `path`, None when there is no such file."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def read_json(path: str) -> Optional[Dict[str, Any]]:
    """The JSON object in `path`; None when the file is missing or holds anything else."""
    try:
        value = json.loads(read_text(path) or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def remove(path: str) -> None:
    """Delete a file; one that is already gone is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _keep_names(directory: str) -> None:
    """Have the disk know the names in a directory, where the file system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
