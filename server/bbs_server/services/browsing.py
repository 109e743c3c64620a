# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking into archives: listing a directory, finding a file (admin-api.md §5.3, §6)."""

from __future__ import annotations

import base64
import json
from typing import Any

from bbs_server.catalogue import CatalogueError, Entry, Position
from bbs_server.errors import Invalid, NotFound, ServerFault
from bbs_server.models import Archive, Client, Repository
from bbs_server.services import catalogues

DEFAULT_PAGE, LONGEST_PAGE = 200, 1000

LONGEST_CURSOR = 8192

MOST_ARCHIVES = 50
"""Archives that one search looks through, the newest of those it is about."""


def directory(archive: Archive, *, path: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of a directory's listing.

    :param cursor: ``next_cursor`` of the page before.
    :raises NotFound: the archive has no such directory.
    :raises Invalid: not a cursor of ours.
    """
    normal = "".join(f"/{part}" for part in path.split("/") if part not in ("", "."))
    after = _position(cursor) if cursor else None
    found: list[Entry] = []
    if catalogue := catalogues.of(archive):
        try:
            listed = catalogue.directory(normal, limit=limit + 1, after=after)
        except CatalogueError as error:
            raise ServerFault(f"{error} Have the repository's catalogues rebuilt.") from error
        if listed is None:
            raise NotFound("path: the archive has no such directory.")
        found = listed
    shown = found[:limit]
    return {
        "path": f"{normal}/",
        "dirs": [
            {"dir_path": entry.path, "dir_name": entry.name, "mtime": _time(entry)}
            for entry in shown
            if not entry.is_file
        ],
        "files": [{**_file(entry), "status": entry.status} for entry in shown if entry.is_file],
        "next_cursor": _cursor(shown[-1]) if len(found) > limit else None,
        "catalog": {"status": catalogues.status(archive)},
    }


def search(
    client: Client, *, text: str, limit: int, repository_id: int | None, archive_id: int | None
) -> dict[str, Any]:
    """The files of a client's archives whose path contains a text, those of the newest archive first.

    :param repository_id: only in this repository.
    :param archive_id: only in this archive.
    :raises Invalid: nothing to search for.
    """
    if not text.strip():
        raise Invalid("q: must not be empty.")
    rows = Archive.select(Archive, Repository).join(Repository).where(Repository.client == client)
    if repository_id is not None:
        rows = rows.where(Archive.repository == repository_id)
    if archive_id is not None:
        rows = rows.where(Archive.id == archive_id)
    newest = list(rows.order_by(Archive.created_at.desc(), Archive.id.desc()).limit(MOST_ARCHIVES + 1))
    results: list[dict[str, Any]] = []
    for archive in newest[:MOST_ARCHIVES]:
        if len(results) <= limit:
            results += _found_in(archive, text, limit + 1 - len(results))
    states = {catalogues.status(archive) for archive in newest}
    return {
        "results": results[:limit],
        "truncated": len(results) > limit or len(newest) > MOST_ARCHIVES,
        "catalog": {"status": next((state for state in ("ready", "pending") if state in states), "unavailable")},
    }


def _found_in(archive: Archive, text: str, limit: int) -> list[dict[str, Any]]:
    catalogue = catalogues.of(archive)
    try:
        found = catalogue.search(text, limit=limit) if catalogue else []
    except CatalogueError as error:
        raise ServerFault(f"{error} Have the repository's catalogues rebuilt.") from error
    return [{**_file(entry), "archive_id": archive.id, "archive_name": archive.name} for entry in found]


def _file(entry: Entry) -> dict[str, Any]:
    return {
        "file_path": entry.path,
        "file_name": entry.name,
        "file_size": entry.size,
        "mtime": _time(entry),
    }


def _time(entry: Entry) -> str | None:
    return entry.mtime.strftime("%Y-%m-%d %H:%M:%S") if entry.mtime else None


def _cursor(last: Entry) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.is_file, last.name]).encode()).decode()


def _position(cursor: str) -> Position:
    try:
        is_file, name = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid("cursor: must be the next_cursor of an earlier answer.") from error
    if not isinstance(is_file, bool) or not isinstance(name, str):
        raise Invalid("cursor: must be the next_cursor of an earlier answer.")
    return Position(is_file, name)
