# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/jobs`` and ``/jobs/{id}`` (admin-api.md §5.5)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Text, Whole
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import clients, jobs

blueprint = Blueprint("jobs", __name__, description="Work done, under way and waiting")


class JobSummary(Schema):
    """A job as it stands in lists."""

    id = fields.Integer(required=True)
    task_type = fields.String()
    status = fields.String()
    files_total = fields.Integer(allow_none=True)
    files_processed = fields.Integer(allow_none=True)
    bytes_total = fields.Integer(allow_none=True)
    bytes_processed = fields.Integer(allow_none=True)
    duration_seconds = fields.Integer(allow_none=True)
    status_message = fields.String(allow_none=True)
    queued_at = fields.String()
    started_at = fields.String(allow_none=True)
    completed_at = fields.String(allow_none=True)
    plan_name = fields.String(allow_none=True)
    repository_name = fields.String(allow_none=True)


class JobPage(Schema):
    """A part of a client's jobs."""

    jobs = fields.List(fields.Nested(JobSummary))
    total = fields.Integer()
    limit = fields.Integer()
    offset = fields.Integer()


class JobShown(JobSummary):
    """All of a job."""

    backup_plan_id = fields.Integer(allow_none=True)
    agent_id = fields.Integer()
    repository_id = fields.Integer(allow_none=True)
    source_repository_id = fields.Integer(allow_none=True)
    plugin_config_id = fields.Integer(allow_none=True)
    archive_name = fields.String(allow_none=True)
    error_log = fields.String(allow_none=True)
    task_result = fields.String(allow_none=True)
    had_warnings = fields.Integer()
    retry_count = fields.Integer()
    attempt = fields.Integer(
        metadata={"description": "How often it was handed out; 0 while it waits for the first time."}
    )
    not_before = fields.String(allow_none=True)
    parent_job_id = fields.Integer(allow_none=True)
    restore_archive_id = fields.Integer(allow_none=True)
    restore_paths = fields.String(allow_none=True)
    restore_destination = fields.String(allow_none=True)
    restore_databases = fields.String(allow_none=True)
    last_progress_at = fields.String(allow_none=True)


class JobLogLine(Schema):
    """A line of a job's log."""

    level = fields.String()
    message = fields.String()
    created_at = fields.String()


class QueuePlace(Schema):
    """How full the queue is, and where this job stands in it."""

    active = fields.Integer()
    max = fields.Integer()
    position = fields.Integer(allow_none=True)


class JobExtended(JobShown):
    """A job with its client and its log."""

    client_id = fields.Integer()
    client_name = fields.String()
    client_status = fields.String()
    client_last_heartbeat = fields.String(allow_none=True)
    logs = fields.List(fields.Nested(JobLogLine))
    queue = fields.Nested(QueuePlace)


class JobFilter(Schema):
    """Which part of the list."""

    limit = Whole(load_default=jobs.DEFAULT_PAGE)
    offset = Whole(load_default=0)
    status = Text(metadata={"description": "States with commas between them."})


@blueprint.route("/clients/<id:client_id>/jobs", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(JobFilter)
@blueprint.response(200, JobPage)
def list_jobs(query: dict[str, Any], client_id: int) -> dict[str, Any]:
    """A client's jobs, newest first."""
    client = clients.find(principal(), client_id)
    return jobs.page(client, limit=query["limit"], offset=query["offset"], status=query.get("status"))


@blueprint.route("/clients/<id:client_id>/jobs/<id:job_id>", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, JobShown)
def get_client_job(client_id: int, job_id: int) -> dict[str, Any]:
    """One job of a client."""
    return jobs.detail(jobs.find_for_client(clients.find(principal(), client_id), job_id))


@blueprint.route("/jobs/<id:job_id>", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, JobExtended)
def get_job(job_id: int) -> dict[str, Any]:
    """One job with its log and its place in the queue."""
    return jobs.extended(runtime(), jobs.find(principal(), job_id))
