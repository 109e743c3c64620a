# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What processes that were killed, or a power cut, left half done: finished where its row is written, else taken back.

Folders are moved and made before the transaction that names them is committed, and marked until then
(``services.moves``). So the rows say what was meant to be.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from bbs_server import durable, temporary
from bbs_server.borg.keys import AuthorizedKeys
from bbs_server.models import Client, Repository, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.services import audit, drafts, moves, trash

logger = logging.getLogger(__name__)

CLIENTS = "[0-9]*"
"""Folders of clients, in a storage location."""


def recover(run: Runtime) -> list[str]:
    """Look through all storage locations and the keys that are let in, and put right what is half done.

    :return: what was done, one sentence each; empty when there was nothing.
    """
    left = temporary.sweep(run.settings.temporary_directory)
    remains = [found for location in _locations() for found in _remains(location)]
    with run.writing():
        # Nobody else moves, makes or removes anything meanwhile.
        told = [f"{folder}, which a killed process left, was removed." for folder in left]
        told += [sentence for location, folder in remains for sentence in _put_right(location, folder)]
        keys = [(row.id, row.ssh_public_key) for row in Client.select(Client.id, Client.ssh_public_key)]
        if AuthorizedKeys(run.settings.ssh_directory).rebuild(sorted(keys)):
            told.append("The keys that are let in were written anew.")
        for sentence in told:
            logger.warning("%s", sentence)
            audit.record(run, "server.recover", sentence, level="warning")
    return told


def freed(run: Runtime, location: Path, folder: Path) -> bool:
    """Whether a folder was in the way only because a process was killed, and now is not."""
    if moves.former_place(location, folder) is None:
        return False
    if not run.rehearsing:
        with run.writing():
            list(_put_right(location, folder))
    return run.rehearsing or not folder.exists()


def strangers() -> Iterator[tuple[Path, Path]]:
    """Folders of clients that the database does not know, each with its location."""
    known = {str(client.id) for client in Client.select(Client.id)}
    for location in _locations():
        yield from ((location, folder) for folder in sorted(location.glob(CLIENTS)) if folder.name not in known)


def _locations() -> list[Path]:
    return [Path(location.path) for location in StorageLocation.select().order_by(StorageLocation.id)]


def _remains(location: Path) -> Iterator[tuple[Path, Path]]:
    """Folders that may be half done: marked ones, drafts, and empty ones of clients that are not known."""
    for folder in location.glob(f"{trash.FOLDER}/*"):
        if (folder / moves.MARK).exists():
            yield location, folder
    known = {str(client.id) for client in Client.select(Client.id)}
    for folder in location.glob(CLIENTS):
        inside = list(folder.iterdir()) if folder.is_dir() else []
        yield from ((location, item) for item in inside if drafts.holder(item) or (item / moves.MARK).exists())
        if folder.name not in known or (folder / moves.MARK).exists():
            yield location, folder


def _put_right(location: Path, folder: Path) -> Iterator[str]:
    if (draft := drafts.holder(folder)) is not None:
        if temporary.remove_abandoned(draft):
            yield f"{draft}, a repository that was not finished, was removed."
    elif (former := moves.former_place(location, folder)) is not None:
        yield from _settle_move(location, folder, former)
    elif folder.parent == location and not _recorded(location, folder) and not any(folder.iterdir()):
        folder.rmdir()
        yield f"{folder}, the empty folder of a client that was not created, was removed."


def _settle_move(location: Path, folder: Path, former: Path) -> Iterator[str]:
    arrived = folder.parent.name == trash.FOLDER or _recorded(location, folder)
    if not former.exists() and (_recorded(location, former) or not arrived):
        if (draft := drafts.holder(former)) is not None:
            draft.mkdir(mode=0o700, exist_ok=True)
        durable.rename(folder, former)
        moves.unmark(former)
        yield f"{folder} was moved back to {former}."
        yield from _put_right(location, former)
    else:
        moves.unmark(folder)


def _recorded(location: Path, folder: Path) -> bool:
    """Whether a row says that this is the folder of a client or a repository."""
    parts = folder.relative_to(location).parts
    if not parts[0].isdigit():
        return False
    if len(parts) == 1:
        return bool(Client.select().where(Client.id == int(parts[0])).exists())
    same = (Repository.client == int(parts[0])) & (Repository.name == parts[1])
    here = StorageLocation.path == str(location)
    return bool(Repository.select().join(StorageLocation).where(same & here).exists())
