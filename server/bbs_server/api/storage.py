# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/storage`` (admin-api.md §5.7)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import LARGEST_SIZE, Blueprint, Flag, Text, Whole
from bbs_server.api.remote_ssh_configs import Deleted
from bbs_server.auth import requires
from bbs_server.clock import wire
from bbs_server.runtime import runtime
from bbs_server.services import storage

blueprint = Blueprint("storage", __name__, description="Where repositories lie")

PATH_LENGTH = 400
"""Leaves room for the client's folder and the repository's name in a repository's path."""


class _Sizes(Schema):
    total_size_gb = fields.Float(allow_none=True)
    current_usage_gb = fields.Float(allow_none=True)
    free_space_gb = fields.Float(allow_none=True)
    usage_percentage = fields.Integer(allow_none=True)


class LocalStorage(_Sizes):
    """A directory on the server."""

    id = fields.Integer(required=True)
    name = fields.String()
    path = fields.String()
    is_default = fields.Integer()
    created_at = fields.String()
    capacity_bytes = fields.Integer(allow_none=True)
    capacity_source = fields.String(allow_none=True)
    capacity_unknown_reason = fields.String(allow_none=True)
    total_bytes = fields.Integer(allow_none=True)
    used_bytes = fields.Integer(allow_none=True)
    free_bytes = fields.Integer(allow_none=True)


class RemoteStorage(_Sizes):
    """A third party's SSH server."""

    id = fields.Integer(required=True)
    name = fields.String()
    provider = fields.String(allow_none=True)
    remote_host = fields.String()
    remote_port = fields.Integer()
    remote_user = fields.String()
    remote_base_path = fields.String()
    borg_remote_path = fields.String(allow_none=True)
    append_repo_name = fields.Integer()
    disk_total_bytes = fields.Integer(allow_none=True)
    disk_used_bytes = fields.Integer(allow_none=True)
    disk_free_bytes = fields.Integer(allow_none=True)
    disk_checked_at = fields.String(allow_none=True)
    created_at = fields.String()


class StorageList(Schema):
    """Both kinds of storage."""

    local = fields.List(fields.Nested(LocalStorage))
    remote_ssh = fields.List(fields.Nested(RemoteStorage))


class LocationCreation(Schema):
    """What a new location needs; written as ``label``, read as ``name``."""

    label = Text()
    path = Text(maximum=PATH_LENGTH)
    is_default = Flag(load_default=False)


class LocationCreated(Schema):
    """A new location."""

    id = fields.Integer(required=True)
    label = fields.String(required=True)
    path = fields.String(required=True)
    is_default = fields.Boolean(required=True)


class LocationChange(Schema):
    """What can be changed; ``path`` only to what it is."""

    label = Text()
    path = Text(maximum=PATH_LENGTH)
    is_default = Flag()
    capacity_bytes = Whole(most=LARGEST_SIZE, allow_none=True)


class LocationUpdated(Schema):
    """A changed location."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    path = fields.String(required=True)
    capacity_bytes = fields.Integer(allow_none=True)
    is_default = fields.Boolean(required=True)
    created_at = fields.String()


class LocationDeleted(Deleted):
    """What is gone: the record only."""

    data_removed = fields.Boolean()


class Capacity(Schema):
    """How full the default location is."""

    provisioned_bytes = fields.Integer()
    used_bytes = fields.Integer()
    free_bytes = fields.Integer()


@blueprint.route("/storage", methods=["GET"])
@requires("read")
@blueprint.response(200, StorageList)
def list_storage() -> dict[str, Any]:
    """Storage locations by label, remote SSH configs by name."""
    return storage.listed()


@blueprint.route("/storage", methods=["POST"])
@requires("admin")
@blueprint.body(LocationCreation)
@blueprint.response(201, LocationCreated)
def create_location(body: dict[str, Any]) -> dict[str, Any]:
    """Add an existing directory as a location."""
    row = storage.create(runtime(), label=body.get("label"), path=body.get("path"), is_default=body["is_default"])
    return {"id": row.id, "label": row.label, "path": row.path, "is_default": row.is_default}


@blueprint.route("/storage/capacity", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, Capacity)
def get_capacity() -> dict[str, Any]:
    """How full the default location is."""
    return storage.capacity()


@blueprint.route("/storage/<id:location_id>", methods=["PUT"])
@requires("admin")
@blueprint.body(LocationChange)
@blueprint.response(200, LocationUpdated)
def update_location(body: dict[str, Any], location_id: int) -> dict[str, Any]:
    """Change a location's label, stated capacity, or make it the default."""
    row = storage.update(runtime(), storage.find(location_id), body)
    return {
        "id": row.id,
        "name": row.label,
        "path": row.path,
        "capacity_bytes": row.capacity_bytes,
        "is_default": row.is_default,
        "created_at": wire(row.created_at),
    }


@blueprint.route("/storage/<id:location_id>", methods=["DELETE"])
@requires("admin")
@blueprint.response(200, LocationDeleted)
def delete_location(location_id: int) -> dict[str, Any]:
    """Forget a location that holds no repositories; its directory stays."""
    storage.delete(runtime(), storage.find(location_id))
    return {"status": "ok", "deleted": location_id, "data_removed": False}
