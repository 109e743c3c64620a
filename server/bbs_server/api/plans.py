# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/plans`` (admin-api.md §5.4)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields

from bbs_server.api.http import LARGEST_ID, Blueprint, Flag, Message, Text, Whole, done
from bbs_server.api.schedules import Preview, PreviewCount
from bbs_server.auth import principal, requires
from bbs_server.clock import wire
from bbs_server.runtime import runtime
from bbs_server.services import clients, jobs, plan_times, plans

blueprint = Blueprint("plans", __name__, description="What is backed up, when, and how long it is kept")

LONGEST_TEXT = 65_535
LONGEST_SPLAY = 24 * 60
LARGEST_AGE = 10 * 366 * 24
MOST_RETRIES = 100


class PluginLinks(fields.Field[list[int]]):
    """Plugin configs in order: ``[{"plugin_config_id": 5}]``, or the older map ``{"<plugin>": 5}``."""

    def __init__(self, **kwargs: Any) -> None:
        link = {"type": "object", "properties": {"plugin_config_id": {"type": "integer"}}}
        listed = {"type": "array", "items": link}
        older = {"type": "object", "additionalProperties": {"type": "integer"}}
        super().__init__(metadata={"anyOf": [listed, older, {"type": "null"}]}, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[int]:
        if isinstance(value, dict):
            found = list(value.values())
        elif isinstance(value, list):
            found = [item.get("plugin_config_id") if isinstance(item, dict) else None for item in value]
        else:
            found = [None]
        whole = Whole(least=1, most=LARGEST_ID)
        try:
            return [int(whole.deserialize(item)) for item in found]
        except ValidationError as error:
            raise ValidationError('must be a list such as [{"plugin_config_id": 5}].') from error


class PluginLinkShown(Schema):
    """A plugin config attached to a plan."""

    plugin_config_id = fields.Integer()
    slug = fields.String()
    name = fields.String()


class PlanShown(Schema):
    """A plan with its schedule and retention."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    directories = fields.String()
    excludes = fields.String(allow_none=True)
    advanced_options = fields.String(allow_none=True)
    enabled = fields.Boolean()
    repository_id = fields.Integer()
    repository_name = fields.String()
    prune_minutes = fields.Integer()
    prune_hours = fields.Integer()
    prune_days = fields.Integer()
    prune_weeks = fields.Integer()
    prune_months = fields.Integer()
    prune_years = fields.Integer()
    frequency = fields.String(allow_none=True)
    times = fields.String(allow_none=True)
    day_of_week = fields.Raw(allow_none=True)
    day_of_month = fields.String(allow_none=True)
    timezone = fields.String()
    splay_minutes = fields.Integer(
        allow_none=True, metadata={"description": "Minutes over which runs are spread; null: as the server's settings."}
    )
    maximum_age_hours = fields.Integer(
        allow_none=True, metadata={"description": "Age of the latest good backup from which the plan is stale."}
    )
    retry_limit = fields.Integer(metadata={"description": "How often a backup that fell silent is tried again."})
    paused = fields.Boolean()
    next_run = fields.String(allow_none=True)
    last_run = fields.String(allow_none=True)
    last_success = fields.String(allow_none=True)
    stale = fields.Boolean()
    never_backed_up = fields.Boolean()
    plugins = fields.List(fields.Nested(PluginLinkShown))


class PlanList(Schema):
    """A client's plans."""

    plans = fields.List(fields.Nested(PlanShown))


class PlanFilter(Schema):
    """How the list can be narrowed."""

    name = Text(metadata={"description": "Only the plan of exactly this name."})


def _retention() -> Whole:
    return Whole(least=-1, most=100_000, allow_none=True)


class PlanChange(Schema):
    """What can be said of a plan; left out means untouched."""

    name = Text(allow_none=True)
    repository_id = Whole(least=1, most=LARGEST_ID, allow_none=True)
    directories = Text(maximum=LONGEST_TEXT, allow_none=True)
    excludes = Text(maximum=LONGEST_TEXT, allow_none=True)
    advanced_options = Text(maximum=LONGEST_TEXT, allow_none=True)
    frequency = Text(maximum=30, allow_none=True)
    times = Text(maximum=255, allow_none=True)
    day_of_week = Text(maximum=20, allow_none=True)
    day_of_month = Text(maximum=20, allow_none=True)
    timezone = Text(maximum=64, allow_none=True)
    splay_minutes = Whole(most=LONGEST_SPLAY, allow_none=True)
    maximum_age_hours = Whole(least=1, most=LARGEST_AGE, allow_none=True)
    retry_limit = Whole(most=MOST_RETRIES, allow_none=True)
    enabled = Flag(allow_none=True)
    paused = Flag(allow_none=True)
    prune_minutes = _retention()
    prune_hours = _retention()
    prune_days = _retention()
    prune_weeks = _retention()
    prune_months = _retention()
    prune_years = _retention()
    plugins = PluginLinks(allow_none=True)


class PlanCreation(PlanChange):
    """What a new plan needs."""

    name = Text(required=True)
    repository_id = Whole(required=True, least=1, most=LARGEST_ID)
    directories = Text(required=True, maximum=LONGEST_TEXT)


class PlanCreated(Schema):
    """A new plan; ``next_run`` is set, so it runs by itself."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    repository_id = fields.Integer()
    directories = fields.String()
    frequency = fields.String()
    schedule_id = fields.Integer()
    plugins_attached = fields.Integer()
    next_run = fields.String(allow_none=True)


class PlanPreview(Preview):
    """What the schedule of a plan means."""

    plan_id = fields.Integer(required=True)
    plan_name = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    paused = fields.Boolean(required=True)
    splay_minutes = fields.Integer(required=True)


class JobQueued(Schema):
    """A job that waits."""

    status = fields.String()
    job_id = fields.Integer()
    message = fields.String()


@blueprint.route("/clients/<id:client_id>/plans", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(PlanFilter)
@blueprint.response(200, PlanList)
def list_plans(query: dict[str, Any], client_id: int) -> dict[str, Any]:
    """A client's plans by name."""
    return {"plans": plans.listed(runtime(), clients.find(principal(), client_id), query.get("name"))}


@blueprint.route("/clients/<id:client_id>/plans", methods=["POST"])
@requires("provision")
@blueprint.body(PlanCreation)
@blueprint.response(201, PlanCreated)
def create_plan(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Create a plan; its schedule runs from now on."""
    plan = plans.create(runtime(), clients.find(principal(), client_id), body)
    return {
        "id": plan.id,
        "name": plan.name,
        "repository_id": plan.repository_id,
        "directories": plan.directories,
        "frequency": plan.frequency,
        "schedule_id": plan.id,
        "plugins_attached": len(body.get("plugins") or []),
        "next_run": wire(plan.next_run),
    }


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, PlanShown)
def get_plan(client_id: int, plan_id: int) -> dict[str, Any]:
    """One plan."""
    return plans.shown(runtime(), plans.find(clients.find(principal(), client_id), plan_id))


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>", methods=["PUT"])
@requires("provision")
@blueprint.body(PlanChange)
@blueprint.response(200, Message)
def update_plan(body: dict[str, Any], client_id: int, plan_id: int) -> dict[str, str]:
    """Change the fields that are named."""
    client = clients.find(principal(), client_id)
    plans.update(runtime(), client, plans.find(client, plan_id), body)
    return done("Plan updated")


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>", methods=["DELETE"])
@requires("provision")
@blueprint.response(200, Message)
def delete_plan(client_id: int, plan_id: int) -> dict[str, str]:
    """Remove a plan; its archives stay."""
    plan = plans.find(clients.find(principal(), client_id), plan_id)
    plans.delete(runtime(), plan)
    return done(f'Plan "{plan.name}" deleted')


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>/preview", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(PreviewCount)
@blueprint.response(200, PlanPreview)
def preview_plan(query: dict[str, int], client_id: int, plan_id: int) -> dict[str, Any]:
    """The next runs of a plan; of one that is paused or disabled, those it would make."""
    plan = plans.find(clients.find(principal(), client_id), plan_id)
    return plan_times.preview(runtime(), plan, query["count"])


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>/pause", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.response(200, Message)
def pause_plan(client_id: int, plan_id: int) -> dict[str, str]:
    """Stop the schedule."""
    plan = plans.find(clients.find(principal(), client_id), plan_id)
    plans.pause(runtime(), plan, paused=True)
    return done(f'Plan "{plan.name}" paused')


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>/resume", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.response(200, Message)
def resume_plan(client_id: int, plan_id: int) -> dict[str, str]:
    """Continue the schedule with its next time."""
    plan = plans.find(clients.find(principal(), client_id), plan_id)
    plans.pause(runtime(), plan, paused=False)
    return done(f'Plan "{plan.name}" resumed')


@blueprint.route("/clients/<id:client_id>/plans/<id:plan_id>/trigger", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.response(200, JobQueued)
def trigger_plan(client_id: int, plan_id: int) -> dict[str, Any]:
    """Queue a backup now."""
    plan = plans.find(clients.find(principal(), client_id), plan_id)
    job = jobs.trigger(runtime(), plan)
    return {"status": "ok", "job_id": job.id, "message": f'Backup queued for plan "{plan.name}"'}
