# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/maintenance`` (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Flag
from bbs_server.auth import requires
from bbs_server.runtime import runtime
from bbs_server.services import maintenance_mode

blueprint = Blueprint("maintenance_mode", __name__, description="Hold new backups back")


class MaintenanceMode(Schema):
    """Whether it is on."""

    enabled = fields.Boolean(required=True)


class MaintenanceSwitch(Schema):
    """Whether it is to be on."""

    enabled = Flag(required=True)


@blueprint.route("/maintenance", methods=["GET"])
@requires("read")
@blueprint.response(200, MaintenanceMode)
def get_maintenance_mode() -> dict[str, Any]:
    """Whether maintenance mode is on."""
    return {"enabled": maintenance_mode.enabled()}


@blueprint.route("/maintenance", methods=["POST"])
@requires("admin")
@blueprint.body(MaintenanceSwitch)
@blueprint.response(200, MaintenanceMode)
def switch_maintenance_mode(body: dict[str, Any]) -> dict[str, Any]:
    """Turn maintenance mode on or off: no plan is queued and no backup starts while it is on."""
    maintenance_mode.switch(runtime(), on=body["enabled"])
    return {"enabled": body["enabled"]}
