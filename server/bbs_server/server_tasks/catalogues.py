# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``catalog_rebuild`` and ``catalog_rebuild_full``: file catalogues made from what borg lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bbs_server.borg.command import BorgError
from bbs_server.catalogue import CatalogueError
from bbs_server.models import Archive
from bbs_server.server_tasks import records
from bbs_server.server_tasks.work import Work
from bbs_server.services import catalogues, repository_access

_LINES_BETWEEN_LOOKS = 10_000


def rebuild(work: Work) -> str:
    """Compare the records with borg's list, and make the catalogues that are missing."""
    return _rebuild(work, missing_only=True)


def rebuild_all(work: Work) -> str:
    """The same, with all catalogues made anew."""
    return _rebuild(work, missing_only=False)


def _rebuild(work: Work, *, missing_only: bool) -> str:
    added, removed = records.record_unknown(work), records.forget_gone(work)
    archives = [one for one in work.repository.archives.order_by(Archive.id) if not (missing_only and one.catalogue)]
    for archive in archives:
        work.go_on()
        _make(work, archive)
    return f"{added} archives were added to the records and {removed} removed; {len(archives)} catalogues were made."


def _make(work: Work, archive: Archive) -> None:
    listing = repository_access.borg_lines(work.run, work.repository, "list", "--json-lines", archive=archive.name)
    try:
        with listing as lines:
            catalogues.store(work.run, archive, catalogues.listed_entries(_while_wanted(work, lines)))
    except (OSError, CatalogueError) as error:
        raise BorgError(f"The catalogue of the archive {archive.name} could not be stored: {error}") from error


def _while_wanted(work: Work, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number % _LINES_BETWEEN_LOOKS == 0:
            work.go_on()
        yield line
