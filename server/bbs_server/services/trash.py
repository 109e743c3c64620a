# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleted repositories: kept aside for a while with what opens them, then erased."""

from __future__ import annotations

import logging
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bbs_server import durable
from bbs_server.models import Client, DeletedRepository, Repository, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.services.moves import Moves

logger = logging.getLogger(__name__)

FOLDER = ".trash"
"""Beside the clients' folders, in each storage location: moving there is one rename."""

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<stamp>\d{8}T\d{6}Z)-[0-9a-f]{8}-(?P<client>\d+)(-(?P<slug>.+))?")


def discard(run: Runtime, moving: Moves, location: Path, directory: Path) -> Path:
    """Move a folder of a storage location to its trash, if it is there; returns where it is from now on."""
    if run.rehearsing or not directory.exists():
        return directory
    trash = location / FOLDER
    if not trash.is_dir():
        durable.make_folder(trash, 0o700)
    relative = "-".join(directory.relative_to(location).parts)
    target = trash / f"{run.clock().strftime(_STAMP)}-{run.token_bytes(4).hex()}-{relative}"
    moving.move(location, directory, target)
    return target


def remember(run: Runtime, repository: Repository, place: Path | str, passphrase: str | None) -> None:
    """Record a repository that is being deleted, in the same transaction.

    :param place: the folder of its data, or the URL of a place on another host.
    """
    deleted = DeletedRepository.create(
        client_id=repository.client_id,
        client_name=repository.client.name,
        name=repository.name,
        encryption=repository.encryption,
        storage_location=repository.storage_location_id,
        path=str(place),
        deleted_at=run.clock(),
    )
    if passphrase is not None:
        deleted.sealed_passphrase = run.keyring.seal(
            passphrase, table="deleted_repositories", column="passphrase", row=deleted.id
        )
        deleted.save(only=[DeletedRepository.sealed_passphrase])


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
    _forget(run, oldest)
    return erased


def _forget(run: Runtime, oldest: datetime) -> None:
    """Forget what opens data that is gone. Data that is out of sight, on another host, counts as that in time."""
    due = DeletedRepository.select().where(DeletedRepository.deleted_at <= oldest)
    gone = [deleted.id for deleted in due if _is_gone(deleted)]
    if gone:
        with run.writing():
            DeletedRepository.delete().where(DeletedRepository.id.in_(gone)).execute()


def _is_gone(deleted: DeletedRepository) -> bool:
    location = deleted.storage_location
    if location is None:
        return True
    # A location without anything is a disk that is not mounted.
    return not Path(deleted.path).exists() and any(Path(location.path).glob("*"))


def _is_recorded(location: Path, client_id: int, slug: str | None) -> bool:
    """Whether rows still name what was discarded, as in a database that was restored from a backup."""
    if slug is None:
        return bool(Client.select().where(Client.id == client_id).exists())
    same = (Repository.client == client_id) & (Repository.name == slug)
    return Repository.select().where(same).exists() and not (location / str(client_id) / slug).exists()
