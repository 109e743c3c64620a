# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/plugins`` (admin-api.md §5.6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint
from bbs_server.auth import requires
from bbs_server.backup_plugins import PLUGINS

blueprint = Blueprint("plugins", __name__, description="What can be done before and after a backup")


class PluginShown(Schema):
    """A plugin."""

    id = fields.Integer(required=True)
    slug = fields.String(required=True)
    name = fields.String()
    description = fields.String()
    plugin_type = fields.String()
    is_active = fields.Integer()


class PluginList(Schema):
    """All plugins."""

    plugins = fields.List(fields.Nested(PluginShown))


class PluginSchemas(Schema):
    """The options of each plugin, by slug."""

    schemas = fields.Dict(keys=fields.String(), values=fields.Dict())


@blueprint.route("/plugins", methods=["GET"])
@requires("read")
@blueprint.response(200, PluginList)
def list_plugins() -> dict[str, Any]:
    """All plugins by name."""
    return {"plugins": [plugin.described() for plugin in PLUGINS.values()]}


@blueprint.route("/plugins/schema", methods=["GET"])
@requires("read")
@blueprint.response(200, PluginSchemas)
def get_schemas() -> dict[str, Any]:
    """What can be configured."""
    return {"schemas": {slug: plugin.schema() for slug, plugin in PLUGINS.items()}}
