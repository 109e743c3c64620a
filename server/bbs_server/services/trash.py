# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleted repositories: kept aside for a while, then erased."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bbs_server.models import StorageLocation
from bbs_server.runtime import Runtime

FOLDER = ".trash"
"""Beside the clients' folders, in each storage location: moving there is one rename."""

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Discarded:
    """A folder in the trash, and where it came from."""

    now: Path
    before: Path


def discard(run: Runtime, location: Path, directory: Path) -> Discarded | None:
    """Move a folder of a storage location to its trash; None when there is nothing to move."""
    if run.rehearsing or not directory.exists():
        return None
    trash = location / FOLDER
    trash.mkdir(mode=0o700, exist_ok=True)
    relative = "-".join(directory.relative_to(location).parts)
    target = trash / f"{run.clock().strftime(_STAMP)}-{run.token_bytes(4).hex()}-{relative}"
    directory.rename(target)
    return Discarded(target, directory)


@contextmanager
def undoing() -> Iterator[list[Discarded | None]]:
    """Around a transaction: whatever was discarded in it comes back when the transaction fails."""
    discarded: list[Discarded | None] = []
    try:
        yield discarded
    except BaseException:
        for folder in discarded:
            if folder is not None:
                folder.now.rename(folder.before)
        raise


def empty(run: Runtime) -> int:
    """Erase what has lain in the trash for longer than the setting ``trash_days``. Returns how many folders."""
    oldest = run.clock() - timedelta(days=run.settings.trash_days)
    erased = 0
    for location in StorageLocation.select():
        for folder in sorted((Path(location.path) / FOLDER).glob("*")):
            stamp = datetime.strptime(folder.name.split("-", 1)[0], _STAMP).replace(tzinfo=UTC)
            if stamp <= oldest:
                shutil.rmtree(folder)
                erased += 1
    return erased
