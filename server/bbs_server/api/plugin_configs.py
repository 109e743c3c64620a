# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/plugin-configs`` (admin-api.md §5.6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Flag, Object, Text
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import clients, plugin_configs

blueprint = Blueprint("plugin_configs", __name__, description="Settings of plugins for a client")


class PluginConfigShown(Schema):
    """A configuration with its secrets masked."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    config = fields.Dict()
    slug = fields.String()
    plugin_name = fields.String()


class PluginConfigList(Schema):
    """A client's configurations."""

    plugin_configs = fields.List(fields.Nested(PluginConfigShown))


class PluginConfigFilter(Schema):
    """How the list can be narrowed."""

    name = Text(metadata={"description": "Only configurations of exactly this name."})
    plugin = Text(metadata={"description": "Only configurations of this plugin, such as mysql_dump."})


class PluginConfigCreation(Schema):
    """What a new configuration needs."""

    plugin = Text(required=True)
    name = Text(required=True)
    config = Object(load_default=dict, allow_none=True)


class PluginConfigCreated(Schema):
    """A new configuration."""

    id = fields.Integer(required=True)
    plugin = fields.String()
    name = fields.String()


class PluginConfigChange(Schema):
    """What can be changed; options are merged unless ``replace`` is true."""

    name = Text()
    config = Object()
    replace = Flag(load_default=False)


class PluginConfigUpdated(Schema):
    """A changed configuration; for each secret only whether it is set."""

    id = fields.Integer()
    name = fields.String()
    plugin = fields.String()
    plugin_name = fields.String()
    config = fields.Dict()
    created_at = fields.String()


class PluginConfigReply(Schema):
    """The reply to an update."""

    config = fields.Nested(PluginConfigUpdated)


@blueprint.route("/clients/<id:client_id>/plugin-configs", methods=["GET"])
@requires("read")
@blueprint.query(PluginConfigFilter)
@blueprint.response(200, PluginConfigList)
def list_plugin_configs(query: dict[str, Any], client_id: int) -> dict[str, Any]:
    """A client's configurations."""
    return {"plugin_configs": plugin_configs.listed(clients.find(principal(), client_id), **query)}


@blueprint.route("/clients/<id:client_id>/plugin-configs", methods=["POST"])
@requires("provision")
@blueprint.body(PluginConfigCreation)
@blueprint.response(201, PluginConfigCreated)
def create_plugin_config(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Create a configuration, checked against the plugin's schema."""
    client = clients.find(principal(), client_id)
    row = plugin_configs.create(runtime(), client, body["plugin"], body["name"], body["config"] or {})
    return {"id": row.id, "plugin": row.plugin, "name": row.name}


@blueprint.route("/clients/<id:client_id>/plugin-configs/<id:config_id>", methods=["GET"])
@requires("read")
@blueprint.response(200, PluginConfigShown)
def get_plugin_config(client_id: int, config_id: int) -> dict[str, Any]:
    """One configuration."""
    return plugin_configs.masked(plugin_configs.find(clients.find(principal(), client_id), config_id))


@blueprint.route("/clients/<id:client_id>/plugin-configs/<id:config_id>", methods=["PUT"])
@requires("provision")
@blueprint.body(PluginConfigChange)
@blueprint.response(200, PluginConfigReply)
def update_plugin_config(body: dict[str, Any], client_id: int, config_id: int) -> dict[str, Any]:
    """Change a configuration."""
    row = plugin_configs.find(clients.find(principal(), client_id), config_id)
    changed = plugin_configs.update(
        runtime(), row, name=body.get("name"), config=body.get("config"), replace=body["replace"]
    )
    return {"config": plugin_configs.updated(changed)}


@blueprint.route("/clients/<id:client_id>/plugin-configs/<id:config_id>", methods=["DELETE"])
@requires("provision")
@blueprint.response(204)
def delete_plugin_config(client_id: int, config_id: int) -> None:
    """Remove a configuration, also from plans."""
    plugin_configs.delete(runtime(), plugin_configs.find(clients.find(principal(), client_id), config_id))
