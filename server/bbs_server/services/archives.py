# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives: what backups made; deleted and locked by borg itself (admin-api.md §5.3)."""

from __future__ import annotations

from typing import Any

from bbs_server.clock import wire
from bbs_server.errors import Conflict, NotFound
from bbs_server.models import Archive, Client, Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, server_jobs
from bbs_server.services.repositories import LOCK_PREFIX


def find(repository: Repository, archive_id: int) -> Archive:
    """One archive of a repository.

    :raises NotFound: unknown, or another repository's.
    """
    found: Archive | None = repository.archives.where(Archive.id == archive_id).first()
    if found is None:
        raise NotFound("Archive not found.")
    return found


def of_client(client: Client, archive_id: int) -> Archive:
    """One archive in any repository of a client.

    :raises NotFound: unknown, or another client's.
    """
    mine = (Archive.id == archive_id) & (Repository.client == client)
    found: Archive | None = Archive.select(Archive, Repository).join(Repository).where(mine).first()
    if found is None:
        raise NotFound("Archive not found.")
    return found


def listed(repository: Repository, limit: int | None = None, offset: int = 0) -> list[dict[str, Any]]:
    """A repository's archives, newest first."""
    newest = repository.archives.order_by(Archive.created_at.desc(), Archive.id.desc())
    rows = newest.limit(limit).offset(offset)
    return [
        {
            "id": row.id,
            "name": row.name,
            "file_count": row.file_count,
            "original_size": row.original_size,
            "deduplicated_size": row.deduplicated_size,
            "locked": is_locked(row),
            "has_databases": row.databases is not None,
            "created_at": wire(row.created_at),
        }
        for row in rows
    ]


def is_locked(archive: Archive) -> bool:
    """Whether the archive is kept from being pruned and deleted."""
    return bool(archive.name.startswith(LOCK_PREFIX))


def name_when(archive: Archive, *, locked: bool) -> str:
    """The name that an archive has when it is locked or not."""
    plain: str = archive.name.removeprefix(LOCK_PREFIX)
    return LOCK_PREFIX + plain if locked else plain


def delete(run: Runtime, repository: Repository, archive: Archive) -> Job:
    """Queue the deletion of an archive.

    :raises Conflict: the archive is locked, or a deletion is pending on the repository.
    """
    if is_locked(archive):
        raise Conflict(f'The archive "{archive.name}" is locked: unlock it first.', reason="locked")
    with run.writing():
        job = server_jobs.request(
            run,
            repository,
            "archive_delete",
            "A deletion is already pending on this repository.",
            restore_archive_id=archive.id,
            archive_name=archive.name,
        )
        audit.record(
            run,
            "archive.delete",
            f'Deletion of the archive "{archive.name}" of "{repository.name}" queued.',
            client=repository.client,
            level="warning",
        )
    return job


def lock(run: Runtime, repository: Repository, archive: Archive, *, locked: bool) -> Job | None:
    """Queue the locking or unlocking of an archive; None when it is so already.

    :raises Conflict: another change of a lock is pending on the repository.
    """
    if is_locked(archive) == locked:
        return None
    wanted = name_when(archive, locked=locked)
    with run.writing():
        job = server_jobs.request(
            run,
            repository,
            "archive_lock",
            "A change of a lock is already pending on this repository.",
            restore_archive_id=archive.id,
            archive_name=wanted,
        )
        verb = "Locking" if locked else "Unlocking"
        audit.record(run, "archive.lock", f'{verb} of the archive "{archive.name}" queued.', client=repository.client)
    return job
