# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/schedules`` (admin-api.md §5.4)."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Page, Text, Whole, listing
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import plans, schedules

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
    last_success = fields.String(allow_none=True)
    stale = fields.Boolean()
    never_backed_up = fields.Boolean()


class ScheduleList(Schema):
    """All schedules."""

    schedules = fields.List(fields.Nested(ScheduleShown))


class PreviewCount(Schema):
    """How far a preview looks."""

    count = Whole(load_default=10, least=1, most=100, metadata={"description": "How many runs to show."})


class PreviewQuery(PreviewCount):
    """A schedule as plans have it; what is left out is a plan's default."""

    frequency = Text(maximum=30, load_default=plans.DEFAULTS["frequency"])
    times = Text(maximum=255, load_default=plans.DEFAULTS["times"])
    day_of_week = Text(maximum=20, load_default=None)
    day_of_month = Text(maximum=20, load_default=None)
    timezone = Text(maximum=64, load_default=plans.DEFAULTS["timezone"])


class RunShown(Schema):
    """One run: the time that the schedule names, and when it starts, which is later by the plan's splay."""

    due_at = fields.String(required=True)
    start_at = fields.String(required=True)
    local = fields.String(
        required=True, metadata={"description": "The start on the wall clock of the plan's time zone, ISO 8601."}
    )


class Preview(Schema):
    """What a schedule means."""

    timezone = fields.String(required=True)
    runs = fields.List(fields.Nested(RunShown), required=True)


@blueprint.route("/schedules", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(Page)
@blueprint.response(200, ScheduleList)
def list_schedules(query: dict[str, Any]) -> Response:
    """The schedules of all plans, by client, then by plan."""
    return listing("schedules", schedules.listed(runtime(), principal(), **query))


@blueprint.route("/schedules/preview", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(PreviewQuery)
@blueprint.response(200, Preview)
def preview_schedule(query: dict[str, Any]) -> dict[str, Any]:
    """The next runs of a schedule, before any plan has it."""
    return schedules.preview(runtime(), **query)
