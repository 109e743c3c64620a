# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/repositories/{id}/archives`` (admin-api.md §5.3)."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Flag, Page
from bbs_server.auth import principal, requires
from bbs_server.models import Repository
from bbs_server.runtime import runtime
from bbs_server.services import archives, clients, database_restores, repositories

blueprint = Blueprint("archives", __name__, description="What backups made")

_ARCHIVES = "/clients/<id:client_id>/repositories/<id:repository_id>/archives"


class ArchiveShown(Schema):
    """An archive as the backup reported it."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    file_count = fields.Integer()
    original_size = fields.Integer()
    deduplicated_size = fields.Integer()
    locked = fields.Boolean()
    has_databases = fields.Boolean()
    created_at = fields.String()


class ArchiveList(Schema):
    """A repository's archives."""

    archives = fields.List(fields.Nested(ArchiveShown))


class DumpShown(Schema):
    """The dumps of one plugin configuration."""

    config_id = fields.Integer(allow_none=True)
    config_name = fields.String(allow_none=True)
    engine = fields.String(allow_none=True)
    dump_dir = fields.String(allow_none=True)
    databases = fields.List(fields.String())
    per_database = fields.Boolean()
    compress = fields.Boolean()


class DatabaseContents(Schema):
    """The databases in an archive."""

    archive_id = fields.Integer(required=True)
    archive_name = fields.String(required=True)
    backed_up_at = fields.String(required=True)
    has_databases = fields.Boolean(required=True)
    databases = fields.List(fields.String(), required=True)
    groups = fields.List(fields.Nested(DumpShown), required=True)


class DeletionQueued(Schema):
    """The job that deletes the archive."""

    status = fields.String(required=True)
    job_id = fields.Integer(required=True)


class Lock(Schema):
    """Whether the archive is to be kept."""

    locked = Flag(required=True)


class LockChanged(Schema):
    """What came of it: ``already``, or ``queued`` with the job that does it."""

    status = fields.String(required=True)
    result = fields.String(required=True)
    message = fields.String(required=True)
    name = fields.String(required=True)
    locked = fields.Boolean(required=True)
    job_id = fields.Integer()


@blueprint.route(_ARCHIVES, methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(Page)
@blueprint.response(200, ArchiveList)
def list_archives(query: dict[str, Any], client_id: int, repository_id: int) -> dict[str, Any]:
    """A repository's archives, newest first."""
    return {"archives": archives.listed(_repository(client_id, repository_id), **query)}


@blueprint.route(f"{_ARCHIVES}/<id:archive_id>/databases", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, DatabaseContents)
def list_databases(client_id: int, repository_id: int, archive_id: int) -> dict[str, Any]:
    """The databases whose dumps an archive holds."""
    return database_restores.contents(archives.find(_repository(client_id, repository_id), archive_id))


@blueprint.route(f"{_ARCHIVES}/<id:archive_id>", methods=["DELETE"])
@requires("provision", any_user=True)
@blueprint.response(202, DeletionQueued)
def delete_archive(client_id: int, repository_id: int, archive_id: int) -> dict[str, Any]:
    """Queue the deletion of an archive."""
    repository = _repository(client_id, repository_id)
    job = archives.delete(runtime(), repository, archives.find(repository, archive_id))
    return {"status": "queued", "job_id": job.id}


@blueprint.route(f"{_ARCHIVES}/<id:archive_id>/lock", methods=["POST"])
@requires("provision")
@blueprint.body(Lock)
@blueprint.response(200, LockChanged)
@blueprint.alt_response(202, schema=LockChanged)
def lock_archive(body: dict[str, Any], client_id: int, repository_id: int, archive_id: int) -> ResponseReturnValue:
    """Keep an archive from being pruned and deleted, or let it go."""
    repository = _repository(client_id, repository_id)
    archive, locked = archives.find(repository, archive_id), body["locked"]
    job = archives.lock(runtime(), repository, archive, locked=locked)
    state = "locked" if locked else "unlocked"
    reply = {"status": "ok", "name": archives.name_when(archive, locked=locked), "locked": locked}
    if job is None:
        return {**reply, "result": "already", "message": f"The archive is {state} already."}
    message = f"The archive will be {state} when the repository is free."
    return {**reply, "result": "queued", "message": message, "job_id": job.id}, 202


def _repository(client_id: int, repository_id: int) -> Repository:
    return repositories.find(clients.find(principal(), client_id), repository_id)
