# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/storage`` (admin-api.md §5.7)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint
from bbs_server.auth import requires
from bbs_server.services import storage

blueprint = Blueprint("storage", __name__, description="Where repositories lie")


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


@blueprint.route("/storage", methods=["GET"])
@requires("read")
@blueprint.response(200, StorageList)
def list_storage() -> dict[str, Any]:
    """Storage locations by label, remote SSH configs by name."""
    return storage.listed()
