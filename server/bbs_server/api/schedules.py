# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/schedules`` (admin-api.md §5.4)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import schedules

blueprint = Blueprint("schedules", __name__, description="When each plan runs, over all clients")


class ScheduleShown(Schema):
    """When a plan runs, and how its last backup went."""

    plan_id = fields.Integer(required=True)
    plan_name = fields.String()
    plan_enabled = fields.Boolean()
    agent_id = fields.Integer()
    agent_name = fields.String()
    agent_status = fields.String()
    repository_id = fields.Integer()
    repository_name = fields.String()
    frequency = fields.String()
    times = fields.String(allow_none=True)
    day_of_week = fields.Raw(
        allow_none=True,
        metadata={"type": ["integer", "string", "null"], "description": "A number; several as text such as 1,3."},
    )
    day_of_month = fields.String(allow_none=True)
    timezone = fields.String()
    schedule_enabled = fields.Boolean()
    next_run = fields.String(allow_none=True)
    last_run = fields.String(allow_none=True)
    last_status = fields.String(allow_none=True)
    last_completed_at = fields.String(allow_none=True)


class ScheduleList(Schema):
    """All schedules."""

    schedules = fields.List(fields.Nested(ScheduleShown))


@blueprint.route("/schedules", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, ScheduleList)
def list_schedules() -> dict[str, Any]:
    """The schedules of all plans, by client, then by plan."""
    return {"schedules": schedules.listed(runtime(), principal())}
