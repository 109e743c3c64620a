# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/remote-ssh-configs`` (admin-api.md §5.8)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Flag, Text, Whole
from bbs_server.auth import requires
from bbs_server.runtime import runtime
from bbs_server.services import remote_ssh_configs

blueprint = Blueprint("remote_ssh_configs", __name__, description="Third parties' SSH servers")

HIGHEST_PORT = 65535
PATH_LENGTH = 250
KEY_LENGTH = 20_000


class RemoteSshConfigShown(Schema):
    """A configuration; of its private key only whether there is one."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    provider = fields.String(allow_none=True)
    remote_host = fields.String()
    remote_port = fields.Integer()
    remote_user = fields.String()
    remote_base_path = fields.String()
    borg_remote_path = fields.String(allow_none=True)
    append_repo_name = fields.Boolean()
    ssh_private_key_set = fields.Boolean()
    disk_total_bytes = fields.Integer(allow_none=True)
    disk_used_bytes = fields.Integer(allow_none=True)
    disk_free_bytes = fields.Integer(allow_none=True)
    disk_checked_at = fields.String(allow_none=True)
    disk_check_error = fields.String(allow_none=True)
    repository_count = fields.Integer()
    created_at = fields.String()


class RemoteSshConfigList(Schema):
    """All configurations."""

    remote_ssh_configs = fields.List(fields.Nested(RemoteSshConfigShown))


class RemoteSshConfigChange(Schema):
    """A configuration's fields; name, host, user and key are needed for a new one."""

    name = Text()
    provider = Text(allow_none=True, maximum=32)
    remote_host = Text(maximum=255)
    remote_port = Whole(least=1, most=HIGHEST_PORT)
    remote_user = Text()
    remote_base_path = Text(maximum=PATH_LENGTH)
    borg_remote_path = Text(allow_none=True, maximum=PATH_LENGTH)
    append_repo_name = Flag()
    ssh_private_key = Text(maximum=KEY_LENGTH)


class Deleted(Schema):
    """What is gone."""

    status = fields.String()
    deleted = fields.Integer()


class TestOptions(Schema):
    """How to test."""

    forget_host_key = Flag(load_default=False)


class Tested(Schema):
    """Whether the login works: borg's version there (null if it is not told), or the error."""

    status = fields.String(required=True, metadata={"enum": ["ok", "error"]})
    version = fields.String(allow_none=True)
    error = fields.String()
    quota_changed = fields.Boolean()


@blueprint.route("/remote-ssh-configs", methods=["GET"])
@requires("read")
@blueprint.response(200, RemoteSshConfigList)
def list_remote_ssh_configs() -> dict[str, Any]:
    """All configurations by name."""
    return {"remote_ssh_configs": remote_ssh_configs.listed()}


@blueprint.route("/remote-ssh-configs", methods=["POST"])
@requires("admin")
@blueprint.body(RemoteSshConfigChange)
@blueprint.response(201, RemoteSshConfigShown)
def create_remote_ssh_config(body: dict[str, Any]) -> dict[str, Any]:
    """Store a configuration."""
    return remote_ssh_configs.shown(remote_ssh_configs.create(runtime(), body))


@blueprint.route("/remote-ssh-configs/test", methods=["POST"])
@requires("admin")
@blueprint.body(RemoteSshConfigChange)
@blueprint.response(200, Tested)
def test_unsaved_remote_ssh_config(body: dict[str, Any]) -> dict[str, Any]:
    """Log in with values that are not stored."""
    return remote_ssh_configs.test_unsaved(runtime(), body)


@blueprint.route("/remote-ssh-configs/<id:config_id>", methods=["GET"])
@requires("read")
@blueprint.response(200, RemoteSshConfigShown)
def get_remote_ssh_config(config_id: int) -> dict[str, Any]:
    """One configuration."""
    return remote_ssh_configs.shown(remote_ssh_configs.find(config_id))


@blueprint.route("/remote-ssh-configs/<id:config_id>", methods=["PUT"])
@requires("admin")
@blueprint.body(RemoteSshConfigChange)
@blueprint.response(200, RemoteSshConfigShown)
def update_remote_ssh_config(body: dict[str, Any], config_id: int) -> dict[str, Any]:
    """Change a configuration; a private key that is not given stays."""
    config = remote_ssh_configs.update(runtime(), remote_ssh_configs.find(config_id), body)
    return remote_ssh_configs.shown(config)


@blueprint.route("/remote-ssh-configs/<id:config_id>", methods=["DELETE"])
@requires("admin")
@blueprint.response(200, Deleted)
def delete_remote_ssh_config(config_id: int) -> dict[str, Any]:
    """Remove a configuration that no repository uses."""
    remote_ssh_configs.delete(runtime(), remote_ssh_configs.find(config_id))
    return {"status": "ok", "deleted": config_id}


@blueprint.route("/remote-ssh-configs/<id:config_id>/test", methods=["POST"])
@requires("admin")
@blueprint.body(TestOptions)
@blueprint.response(200, Tested)
def test_remote_ssh_config(body: dict[str, Any], config_id: int) -> dict[str, Any]:
    """Log in; learns the host's key when it is seen for the first time."""
    config = remote_ssh_configs.find(config_id)
    return remote_ssh_configs.test(runtime(), config, forget_host_key=body["forget_host_key"])
