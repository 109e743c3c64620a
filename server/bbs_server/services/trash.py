# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleted repositories: kept aside for a while, then erased."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bbs_server.models import Client, Repository, StorageLocation
from bbs_server.runtime import Runtime

logger = logging.getLogger(__name__)

FOLDER = ".trash"
"""Beside the clients' folders, in each storage location: moving there is one rename."""

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<stamp>\d{8}T\d{6}Z)-[0-9a-f]{8}-(?P<client>\d+)(-(?P<slug>.+))?")


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
            found = _NAME.fullmatch(folder.name)
            if found is None or datetime.strptime(found["stamp"], _STAMP).replace(tzinfo=UTC) > oldest:
                continue
            if _is_recorded(Path(location.path), int(found["client"]), found["slug"]):
                logger.error("%s is in the trash but still in the database: move it back or delete it there.", folder)
                continue
            shutil.rmtree(folder)
            erased += 1
    return erased


def _is_recorded(location: Path, client_id: int, slug: str | None) -> bool:
    """Whether a deletion was cut off between the move to the trash and the end of its transaction."""
    if slug is None:
        return bool(Client.select().where(Client.id == client_id).exists())
    same = (Repository.client == client_id) & (Repository.name == slug)
    return Repository.select().where(same).exists() and not (location / str(client_id) / slug).exists()
