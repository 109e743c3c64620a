# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work for agents: ``…/restore``, ``…/upgrade-agent``, ``…/plugin-configs/{id}/test`` (admin-api.md §5.6, §6)."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from bbs_server.api.http import LARGEST_ID, Blueprint, Text, Whole
from bbs_server.auth import principal, requires
from bbs_server.backup_plugins.s3_sync import PLUGIN as S3_SYNC
from bbs_server.runtime import runtime
from bbs_server.services import agent_tasks, clients, plugin_configs, s3_sync

blueprint = Blueprint("agent_tasks", __name__, description="Work that is asked of one agent")

PATH_LENGTH = 4096


class Restore(Schema):
    """What to restore; no paths: everything. Without a destination files go back over what is there now."""

    archive_id = Whole(required=True, least=1, most=LARGEST_ID)
    paths = fields.List(
        Text(maximum=PATH_LENGTH),
        load_default=list,
        allow_none=True,
        error_messages={"invalid": "must be a list of paths."},
    )
    destination = Text(load_default=None, allow_none=True, maximum=PATH_LENGTH)


class RestoreQueued(Schema):
    """The job that restores."""

    status = fields.String(required=True)
    job_id = fields.Integer(required=True)


class UpdateQueued(Schema):
    """Whether an update was queued, or was pending already."""

    status = fields.String(required=True)
    queued = fields.Integer(required=True)
    already_pending = fields.Boolean(required=True)


class TestResult(Schema):
    """The job that tests, or, for what the server tests itself, what came of it."""

    status = fields.String(required=True, metadata={"enum": ["queued", "completed", "failed"]})
    job_id = fields.Integer()
    message = fields.String()
    error = fields.String()


@blueprint.route("/clients/<id:client_id>/restore", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.body(Restore)
@blueprint.response(200, RestoreQueued)
def restore(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Queue a restore on the client's machine."""
    client = clients.find(principal(), client_id)
    destination = (body["destination"] or "").strip() or None
    job = agent_tasks.restore(
        runtime(), client, archive_id=body["archive_id"], paths=body["paths"] or [], destination=destination
    )
    return {"status": "ok", "job_id": job.id}


@blueprint.route("/clients/<id:client_id>/upgrade-agent", methods=["POST"])
@requires("provision")
@blueprint.response(200, UpdateQueued)
def upgrade_agent(client_id: int) -> dict[str, Any]:
    """Queue an update of the client's agent."""
    queued = agent_tasks.update_agent(runtime(), clients.find(principal(), client_id))
    return {"status": "ok", "queued": int(queued), "already_pending": not queued}


@blueprint.route("/clients/<id:client_id>/plugin-configs/<id:config_id>/test", methods=["POST"])
@requires("provision")
@blueprint.response(200, TestResult)
@blueprint.alt_response(202, schema=TestResult)
@blueprint.alt_response(502, schema=TestResult)
def test_plugin_config(client_id: int, config_id: int) -> ResponseReturnValue:
    """Try a plugin configuration out: on the client's machine, S3 storage from the server."""
    client = clients.find(principal(), client_id)
    config = plugin_configs.find(client, config_id)
    if config.plugin != S3_SYNC.slug:
        job = agent_tasks.test_plugin(runtime(), client, config)
        return {"status": "queued", "job_id": job.id}, 202
    error = s3_sync.test(runtime(), config)
    if error:
        return {"status": "failed", "error": error}, 502
    return {"status": "completed", "message": "The bucket can be listed and written to."}, 200
