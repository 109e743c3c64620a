# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``archive_delete`` and ``archive_lock``."""

from __future__ import annotations

from bbs_server.borg.command import BorgError
from bbs_server.models import Archive
from bbs_server.server_tasks import records
from bbs_server.server_tasks.work import Work, text
from bbs_server.services import archives, catalogues


def delete(work: Work) -> str:
    """Delete the job's archive. Its record goes when borg does not list it any more, not before."""
    archive = _archive(work)
    if archive is None:
        return "The archive is gone already."
    if archives.is_locked(archive):
        raise BorgError(f"The archive {archive.name} was locked in the meantime.")
    done = work.borg("delete", "--list", archive=archive.name)
    if archive.name in records.existing(work):
        raise BorgError(done.log.strip() or f"Borg did not delete the archive {archive.name}.")
    catalogues.forget(work.run, archive)
    archive.delete_instance()
    return text(done.log, f"The archive {archive.name} was deleted.")


def lock(work: Work) -> str:
    """Give the job's archive the name that locks or unlocks it."""
    archive, name = _archive(work), work.job.archive_name
    if archive is None or name is None:
        raise BorgError("The archive is gone.")
    if archive.name != name:
        # A client may have given its archive a name that begins like an option.
        work.borg("rename", archive=archive.name, then=["--", name])
        Archive.update(name=name).where(Archive.id == archive.id).execute()
    return f"The archive is named {name} now."


def _archive(work: Work) -> Archive | None:
    found: Archive | None = work.repository.archives.where(Archive.id == work.job.restore_archive_id).first()
    return found
