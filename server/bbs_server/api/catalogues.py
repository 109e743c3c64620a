# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""File catalogues: what an archive holds, and where a file is (admin-api.md §5.3, §6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import LARGEST_ID, Blueprint, Flag, Text, Whole
from bbs_server.api.maintenance import MaintenanceQueued
from bbs_server.auth import principal, requires
from bbs_server.catalogue import LONGEST_PATH
from bbs_server.runtime import runtime
from bbs_server.services import archives, browsing, clients, maintenance, repositories

blueprint = Blueprint("catalogues", __name__, description="The files in archives")

_REPOSITORY = "/clients/<id:client_id>/repositories/<id:repository_id>"


class CatalogueStatus(Schema):
    """``ready``; ``pending`` while the worker reads it; ``unavailable``: have it rebuilt."""

    status = fields.String(required=True)


class _File(Schema):
    file_path = fields.String(required=True)
    file_name = fields.String(required=True)
    file_size = fields.Integer(required=True)
    mtime = fields.String(allow_none=True)


class FileShown(_File):
    """A file, with borg's letter for what the backup did with it."""

    status = fields.String()


class DirectoryShown(Schema):
    """A directory in a directory."""

    dir_path = fields.String(required=True)
    dir_name = fields.String(required=True)
    mtime = fields.String(allow_none=True)


class DirectoryQuery(Schema):
    """Which directory, and which part of its listing."""

    path = Text(load_default="/", maximum=LONGEST_PATH)
    limit = Whole(load_default=browsing.DEFAULT_PAGE, least=1, most=browsing.LONGEST_PAGE)
    cursor = Text(load_default=None, maximum=browsing.LONGEST_CURSOR)


class DirectoryPage(Schema):
    """Directories first, then files, by name; ``next_cursor`` asks for the page after this one."""

    path = fields.String(required=True)
    dirs = fields.List(fields.Nested(DirectoryShown), required=True)
    files = fields.List(fields.Nested(FileShown), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    catalog = fields.Nested(CatalogueStatus, required=True)


class SearchQuery(Schema):
    """A part of a path, and in which archives to look for it."""

    q = Text(required=True, maximum=LONGEST_PATH)
    repository_id = Whole(load_default=None, least=1, most=LARGEST_ID)
    archive_id = Whole(load_default=None, least=1, most=LARGEST_ID)
    limit = Whole(load_default=browsing.DEFAULT_PAGE, least=1, most=browsing.LONGEST_PAGE)


class FileFound(_File):
    """A file, and the archive it is in."""

    archive_id = fields.Integer(required=True)
    archive_name = fields.String(required=True)


class SearchResults(Schema):
    """Files of the newest archives first; ``truncated``: there may be more."""

    results = fields.List(fields.Nested(FileFound), required=True)
    truncated = fields.Boolean(required=True)
    catalog = fields.Nested(CatalogueStatus, required=True)


class Synchronisation(Schema):
    """Whether all catalogues are made anew, or only those that are missing."""

    full = Flag(load_default=False)


@blueprint.route(f"{_REPOSITORY}/archives/<id:archive_id>/files", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(DirectoryQuery)
@blueprint.response(200, DirectoryPage)
def list_files(query: dict[str, Any], client_id: int, repository_id: int, archive_id: int) -> dict[str, Any]:
    """One directory of an archive."""
    repository = repositories.find(clients.find(principal(), client_id), repository_id)
    return browsing.directory(archives.find(repository, archive_id), **query)


@blueprint.route("/clients/<id:client_id>/catalog/search", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(SearchQuery)
@blueprint.response(200, SearchResults)
def search(query: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Find a file in the archives of a client by a part of its path."""
    return browsing.search(clients.find(principal(), client_id), text=query.pop("q"), **query)


@blueprint.route(f"{_REPOSITORY}/catalog/sync", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.body(Synchronisation)
@blueprint.response(202, MaintenanceQueued)
def synchronise(body: dict[str, Any], client_id: int, repository_id: int) -> dict[str, Any]:
    """Compare the records with the repository, and make the catalogues that are missing, or all."""
    repository = repositories.find(clients.find(principal(), client_id), repository_id)
    action = "catalog_rebuild_full" if body["full"] else "catalog_rebuild"
    job = maintenance.request(runtime(), repository, action)
    return {"status": "queued", "job_id": job.id, "action": action, "task_type": job.task_type}
