# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work for agents: restores, listings, updates, tests of plugins (admin-api.md §5.6, §6)."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from bbs_server.api.http import LARGEST_ID, Array, Blueprint, Flag, Text, Whole
from bbs_server.auth import principal, requires
from bbs_server.backup_plugins.s3_sync import PLUGIN as S3_SYNC
from bbs_server.runtime import runtime
from bbs_server.services import agent_tasks, clients, database_restores, plugin_configs, s3_sync

blueprint = Blueprint("agent_tasks", __name__, description="Work that is asked of one agent")

PATH_LENGTH = 4096


class Restore(Schema):
    """What to restore; no paths: everything. Without a destination files go back over what is there now."""

    archive_id = Whole(required=True, least=1, most=LARGEST_ID)
    paths = Array(Text(maximum=PATH_LENGTH), of="paths", load_default=list, allow_none=True)
    destination = Text(load_default=None, allow_none=True, maximum=PATH_LENGTH)


class RestoreQueued(Schema):
    """The job that restores."""

    status = fields.String(required=True)
    job_id = fields.Integer(required=True)


class TaskQueued(Schema):
    """The job that does it."""

    status = fields.String(required=True)
    job_id = fields.Integer(required=True)
    task_type = fields.String(required=True)


class DatabaseChosen(Schema):
    """A database, and whether it replaces the one of its name or gets another name."""

    name = Text(required=True)
    mode = Text(
        load_default="replace", validate=validate.OneOf(database_restores.MODES, error="must be replace or rename.")
    )
    target_name = Text(load_default=None, allow_none=True)


class DatabaseRestore(Schema):
    """Which databases to restore, from which archive, with whose connection."""

    connector_id = Whole(required=True, least=1, most=LARGEST_ID)
    archive_id = Whole(required=True, least=1, most=LARGEST_ID)
    databases = Array(
        fields.Nested(DatabaseChosen),
        of="databases",
        required=True,
        validate=validate.Length(1, 1000, error="must name 1 to 1000 databases."),
    )


class Connector(Schema):
    """A plugin configuration that knows a database server."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    plugin = fields.String(required=True)
    plugin_name = fields.String(required=True)


class ConnectorList(Schema):
    """A client's connectors."""

    connectors = fields.List(fields.Nested(Connector))


class Listing(Schema):
    """Which directory to list, and how much of it."""

    path = Text(load_default="/", maximum=PATH_LENGTH)
    depth = Whole(load_default=1, least=1, most=5)
    show_hidden = Flag(load_default=False)
    show_all = Flag(load_default=False)
    follow_symlinks = Flag(load_default=False)
    max_entries = Whole(load_default=5000, least=50, most=20000)


class BorgVersion(Schema):
    """Which borg, and where its program is if pip is not to install it."""

    target_version = Text(
        required=True,
        validate=validate.Regexp(r"1(\.[0-9]{1,3}){1,2}\Z", error="must be a version of borg 1, such as 1.2.8."),
    )
    download_url = Text(
        load_default=None,
        allow_none=True,
        maximum=500,
        validate=validate.Regexp(r"https://[!-~]+\Z", error="must be an https URL."),
    )


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


@blueprint.route("/clients/<id:client_id>/restore-db", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.body(DatabaseRestore)
@blueprint.response(202, TaskQueued)
def restore_databases(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Queue the restore of databases from an archive's dumps, into the database server of a connector."""
    job = database_restores.request(runtime(), clients.find(principal(), client_id), **body)
    return {"status": "queued", "job_id": job.id, "task_type": job.task_type}


@blueprint.route("/clients/<id:client_id>/db-connectors", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, ConnectorList)
def list_connectors(client_id: int) -> dict[str, Any]:
    """The plugin configurations that databases can be restored with."""
    return {"connectors": database_restores.connectors(clients.find(principal(), client_id))}


@blueprint.route("/clients/<id:client_id>/list-dir", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.body(Listing)
@blueprint.response(202, TaskQueued)
def list_directory(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Queue the listing of a directory of the client's machine; the tree becomes the job's task_result."""
    job = agent_tasks.list_directory(runtime(), clients.find(principal(), client_id), body)
    return {"status": "queued", "job_id": job.id, "task_type": job.task_type}


@blueprint.route("/clients/<id:client_id>/upgrade-borg", methods=["POST"])
@requires("provision")
@blueprint.body(BorgVersion)
@blueprint.response(202, TaskQueued)
def upgrade_borg(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Queue an update of the client's borg."""
    job = agent_tasks.update_borg(runtime(), clients.find(principal(), client_id), **body)
    return {"status": "queued", "job_id": job.id, "task_type": job.task_type}


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
