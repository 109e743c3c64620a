# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/queue`` (admin-api.md §5.5)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Message, Page, Whole, done
from bbs_server.api.plans import JobQueued
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import jobs

blueprint = Blueprint("queue", __name__, description="Work under way and waiting, over all clients")


class _QueuedJob(Schema):
    id = fields.Integer(required=True)
    task_type = fields.String()
    status = fields.String()
    status_message = fields.String(allow_none=True)
    queued_at = fields.String()
    started_at = fields.String(allow_none=True)
    client_id = fields.Integer()
    client_name = fields.String()
    plan_name = fields.String(allow_none=True)
    repository_name = fields.String(allow_none=True)


class ActiveJob(_QueuedJob):
    """A job that has not ended."""

    files_total = fields.Integer(allow_none=True)
    files_processed = fields.Integer(allow_none=True)
    bytes_total = fields.Integer(allow_none=True)
    bytes_processed = fields.Integer(allow_none=True)


class EndedJob(_QueuedJob):
    """A job that has ended."""

    completed_at = fields.String(allow_none=True)
    duration_seconds = fields.Integer(allow_none=True)
    had_warnings = fields.Integer()


class Slots(Schema):
    """How many agent jobs run, and how many may."""

    active = fields.Integer()
    max = fields.Integer()


class Statistics(Schema):
    """The last day in numbers."""

    queued = fields.Integer()
    running = fields.Integer()
    completed_24h = fields.Integer()
    failed_24h = fields.Integer()
    avg_seconds_24h = fields.Integer()


class Queue(Schema):
    """The whole queue."""

    queue = fields.List(fields.Nested(ActiveJob))
    count = fields.Integer()
    recent = fields.List(fields.Nested(EndedJob))
    slots = fields.Nested(Slots)
    stats = fields.Nested(Statistics)


class QueueFilter(Page):
    """How much of it, and of the past."""

    recent = Whole(load_default=10)


@blueprint.route("/queue", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(QueueFilter)
@blueprint.response(200, Queue)
def get_queue(query: dict[str, Any]) -> dict[str, Any]:
    """Active jobs, oldest first, and the latest that ended."""
    return jobs.queue(runtime(), principal(), **query)


@blueprint.route("/queue/<id:job_id>/cancel", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.response(200, Message)
def cancel_job(job_id: int) -> dict[str, str]:
    """Stop a job."""
    jobs.cancel(runtime(), jobs.find(principal(), job_id))
    return done(f"Job #{job_id} cancelled")


@blueprint.route("/queue/<id:job_id>/retry", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.response(200, JobQueued)
def retry_job(job_id: int) -> dict[str, Any]:
    """Queue a failed job once more."""
    again = jobs.retry(runtime(), jobs.find(principal(), job_id))
    return {"status": "ok", "job_id": again.id, "message": f"Job #{job_id} retried as #{again.id}"}
