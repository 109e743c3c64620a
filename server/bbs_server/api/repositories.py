# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/repositories`` (admin-api.md §5.2)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import LARGEST_ID, Blueprint, Flag, Message, Text, Whole, done
from bbs_server.auth import principal, requires
from bbs_server.errors import Invalid
from bbs_server.runtime import runtime
from bbs_server.services import clients, remote_repositories, repositories

blueprint = Blueprint("repositories", __name__, description="Borg repositories of a client")

PASSPHRASE_LENGTH = 1000


class RepositoryShown(Schema):
    """A repository; never with its passphrase."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    path = fields.String()
    encryption = fields.String()
    storage_type = fields.String()
    size_bytes = fields.Integer()
    archive_count = fields.Integer()
    created_at = fields.String()
    s3_sync_enabled = fields.Boolean()
    s3_last_sync_at = fields.String(allow_none=True)
    storage_location_id = fields.Integer(allow_none=True)
    storage_location_name = fields.String(allow_none=True)
    remote_ssh_config_id = fields.Integer(allow_none=True)
    remote_ssh_config_name = fields.String(allow_none=True)


class RepositoryList(Schema):
    """A client's repositories."""

    repositories = fields.List(fields.Nested(RepositoryShown))


class RepositoryFilter(Schema):
    """How the list can be narrowed."""

    name = Text(metadata={"description": "Only the repository that a creation of this name would make."})


class RepositoryCreation(Schema):
    """What a new repository needs."""

    name = Text(required=True)
    encryption = Text(allow_none=True, maximum=32)
    passphrase = Text(allow_none=True, maximum=PASSPHRASE_LENGTH)
    storage_type = Text(load_default="local", maximum=16)
    storage_location_id = Whole(allow_none=True, least=1, most=LARGEST_ID)
    remote_ssh_config_id = Whole(allow_none=True, least=1, most=LARGEST_ID)


class RepositoryCreated(Schema):
    """A new repository; its passphrase is shown this once."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    path = fields.String()
    encryption = fields.String()
    storage_type = fields.String()
    remote_host = fields.String()
    passphrase = fields.String()


class RepositoryName(Schema):
    """A repository's new name."""

    name = Text(required=True)


class RepositoryRenamed(Schema):
    """The name as stored, and where agents find the repository now."""

    status = fields.String()
    name = fields.String()
    path = fields.String()


class KeepData(Schema):
    """Whether the data stays where it is."""

    keep_data = Flag()


@blueprint.route("/clients/<id:client_id>/repositories", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(RepositoryFilter)
@blueprint.response(200, RepositoryList)
def list_repositories(query: dict[str, Any], client_id: int) -> dict[str, Any]:
    """A client's repositories by name."""
    return {"repositories": repositories.listed(clients.find(principal(), client_id), query.get("name"))}


@blueprint.route("/clients/<id:client_id>/repositories", methods=["POST"])
@requires("provision")
@blueprint.body(RepositoryCreation)
@blueprint.response(201, RepositoryCreated)
def create_repository(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Create a borg repository."""
    client = clients.find(principal(), client_id)
    storage_type, location = body.pop("storage_type"), body.pop("storage_location_id", None)
    config = body.pop("remote_ssh_config_id", None)
    if storage_type == "remote_ssh":
        return remote_repositories.create(runtime(), client, remote_ssh_config_id=config, **body)
    if storage_type != "local":
        raise Invalid("storage_type: must be local or remote_ssh.")
    return repositories.create(runtime(), client, storage_location_id=location, **body)


@blueprint.route("/clients/<id:client_id>/repositories/<id:repository_id>", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, RepositoryShown)
def get_repository(client_id: int, repository_id: int) -> dict[str, Any]:
    """One repository."""
    return repositories.shown(repositories.find(clients.find(principal(), client_id), repository_id))


@blueprint.route("/clients/<id:client_id>/repositories/<id:repository_id>", methods=["PUT"])
@requires("provision")
@blueprint.body(RepositoryName)
@blueprint.response(200, RepositoryRenamed)
def rename_repository(body: dict[str, Any], client_id: int, repository_id: int) -> dict[str, Any]:
    """Rename a repository and move its folder."""
    repository = repositories.find(clients.find(principal(), client_id), repository_id)
    renamed = repositories.rename(runtime(), repository, body["name"])
    return {"status": "ok", "name": renamed.name, "path": renamed.path}


@blueprint.route("/clients/<id:client_id>/repositories/<id:repository_id>", methods=["DELETE"])
@requires("provision")
@blueprint.query(KeepData)
@blueprint.body(KeepData)
@blueprint.response(200, Message)
def delete_repository(
    query: dict[str, Any], body: dict[str, Any], client_id: int, repository_id: int
) -> dict[str, str]:
    """Remove a repository; its data goes to the trash unless it is to be kept."""
    repository = repositories.find(clients.find(principal(), client_id), repository_id)
    keep_data = (query | body).get("keep_data", False)
    repositories.delete(runtime(), repository, keep_data=keep_data)
    return done(f'Repository "{repository.name}" ' + ("unlinked; its data was kept" if keep_data else "deleted"))
