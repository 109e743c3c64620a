# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""File catalogues: received from agents, read, and removed with their archives (agent-protocol.md §6.3)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bbs_server import catalogue
from bbs_server.borg.gate import CATALOG_DIRECTORY
from bbs_server.catalogue import DEEPEST_PATH, LONGEST_PATH, Catalogue, CatalogueError, Entry
from bbs_server.models import Archive, Client, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import storage

logger = logging.getLogger(__name__)

NOT_ARCHIVED = ("X", "E")
"""Borg's letters for what it has left out: nothing of it is in the archive."""

ORPHAN_SECONDS = 24 * 3600

_LONGEST_LINE = 64 * 1024
_SUFFIX = ".sqlite"


def directory(client_id: int) -> Path:
    """The folder with a client's catalogues; the gate writes what its agent sends there."""
    return storage.client_directory(storage.home(), client_id) / CATALOG_DIRECTORY


def stream_of(client_id: int, job_id: int) -> Path:
    """Where the gate puts the stream of a job."""
    return directory(client_id) / f"catalog-{job_id}.jsonl"


def of(archive: Archive) -> Catalogue | None:
    """The catalogue of an archive, if it has one."""
    return Catalogue(_file(archive)) if archive.catalogue else None


def status(archive: Archive) -> str:
    """``ready``, ``pending`` while it waits for the worker, else ``unavailable`` (admin-api.md §5.3)."""
    if archive.catalogue_is_waiting:
        return "pending"
    return "ready" if archive.catalogue else "unavailable"


def receive_all(run: Runtime) -> int:
    """Read the streams of all archives that wait for theirs; returns how many were taken."""
    waiting = Archive.select(Archive, Repository).join(Repository).where(Archive.catalogue_is_waiting)
    return sum(receive(run, archive) for archive in waiting.order_by(Archive.id))


def receive(run: Runtime, archive: Archive) -> bool:
    """Make a catalogue of what an agent has sent. A stream that cannot be read costs the catalogue, nothing else."""
    stream = stream_of(archive.repository.client_id, archive.job_id or 0)
    try:
        with stream.open("rb") as content:
            # Never more than this at once, even if there is no end of line.
            store(run, archive, sent_entries(iter(lambda: content.readline(_LONGEST_LINE), b"")))
    except (OSError, CatalogueError) as error:
        logger.error("The catalogue of the archive %s could not be taken: %s", archive.name, error)
        Archive.update(catalogue_is_waiting=False).where(Archive.id == archive.id).execute()
        return False
    stream.unlink(missing_ok=True)
    return True


def upload(run: Runtime, archive: Archive, files: Iterable[Mapping[str, Any]], *, done: bool) -> int:
    """Keep a part of a file list that an older agent sends over HTTP (agent-protocol.md §5.5).

    :param done: it was the last part: make the catalogue.
    :return: how many of the entries are files.
    """
    parts = _uploaded(archive)
    lines = [json.dumps(file).encode() + b"\n" for file in files]
    parts.parent.mkdir(mode=0o750, exist_ok=True)
    with parts.open("ab") as stream:
        stream.writelines(lines)
    if done:
        with parts.open("rb") as content:
            store(run, archive, sent_entries(content))
        parts.unlink(missing_ok=True)
    return sum(1 for _ in sent_entries(lines))


def _uploaded(archive: Archive) -> Path:
    return directory(archive.repository.client_id) / f"upload-{archive.id}.jsonl"


def store(run: Runtime, archive: Archive, entries: Iterable[Entry]) -> None:
    """Put a catalogue in the place of the archive's former one.

    :raises OSError, CatalogueError: the file system refuses.
    """
    folder = directory(archive.repository.client_id)
    folder.mkdir(mode=0o750, exist_ok=True)
    token = run.token_bytes(8).hex()
    partial, final = folder / f"{token}.part", folder / f"{token}{_SUFFIX}"
    try:
        catalogue.write(partial, entries)
        partial.replace(final)
    finally:
        partial.unlink(missing_ok=True)
    former = _file(archive) if archive.catalogue else None
    changes = {"catalogue": token, "catalogue_is_waiting": False}
    # The archive may have been deleted while its catalogue was written.
    stored = Archive.update(**changes).where(Archive.id == archive.id).execute()
    archive.catalogue = token
    unused = former if stored else final
    if unused is not None:
        unused.unlink(missing_ok=True)


def forget(run: Runtime, archive: Archive) -> None:
    """Remove the files of an archive that is about to be removed."""
    if archive.catalogue:
        run.act(_file(archive).unlink, missing_ok=True)
    if archive.catalogue_is_waiting and archive.job_id:
        run.act(stream_of(archive.repository.client_id, archive.job_id).unlink, missing_ok=True)


def sent_entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a stream as agents send it; lines that are none are passed over."""
    for line in lines:
        told = _object(line)
        status = told.get("status")
        letter = status[:1].upper() if isinstance(status, str) else ""
        if letter not in NOT_ARCHIVED:
            yield from _entry(told, is_file=letter != "D", status=letter)


def listed_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of ``borg list --json-lines``."""
    for line in lines:
        told = _object(line)
        yield from _entry(told, is_file=told.get("type") != "d", status="")


def _object(line: bytes | str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _entry(told: dict[str, Any], *, is_file: bool, status: str) -> Iterator[Entry]:
    path, size = told.get("path"), told.get("size")
    if not isinstance(path, str) or len(path) > LONGEST_PATH:
        return
    # Names that are no UTF-8 come as lone surrogates, which no file of ours can hold.
    parts = [part for part in path.encode("utf-8", "replace").decode().split("/") if part not in ("", ".")]
    if not parts or len(parts) > DEEPEST_PATH or "\0" in path:
        return
    whole = size if isinstance(size, int) and size > 0 else 0
    yield Entry("/" + "/".join(parts), is_file, status, whole, _moment(told.get("mtime")))


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None) if isinstance(text, str) else None
    except ValueError:
        return None


def _file(archive: Archive) -> Path:
    return directory(archive.repository.client_id) / f"{archive.catalogue}{_SUFFIX}"


def remove_orphans(run: Runtime) -> int:
    """Remove what belongs to no archive: catalogues whose archive is gone, streams whose job has ended without one.

    Returns how many files. Young ones stay: somebody may be writing them.
    """
    return sum(_remove_orphans_of(run, client.id) for client in Client.select(Client.id))


def _remove_orphans_of(run: Runtime, client_id: int) -> int:
    folder = directory(client_id)
    if not folder.is_dir():
        return 0
    rows = Archive.select(Archive.catalogue, Archive.job, Archive.catalogue_is_waiting).join(Repository)
    kept = set()
    for archive in rows.where(Repository.client == client_id):
        kept.add(f"{archive.catalogue}{_SUFFIX}")
        if archive.catalogue_is_waiting:
            kept.add(stream_of(client_id, archive.job_id or 0).name)
    oldest = run.clock().timestamp() - ORPHAN_SECONDS
    files = [file for file in folder.iterdir() if file.is_file() and file.name not in kept]
    orphans = [file for file in files if file.stat().st_mtime < oldest]
    for file in orphans:
        file.unlink(missing_ok=True)
    return len(orphans)
