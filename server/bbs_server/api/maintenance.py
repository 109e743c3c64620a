# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/repositories/{id}/maintenance`` (admin-api.md §5.3)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Text
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import clients, maintenance, repositories

blueprint = Blueprint("maintenance", __name__, description="Work of the server on repositories")

_REPOSITORY = "/clients/<id:client_id>/repositories/<id:repository_id>"


class Action(Schema):
    """What is to be done."""

    action = Text(maximum=32, metadata={"enum": list(maintenance.ACTIONS)})


class MaintenanceQueued(Schema):
    """The job that does it."""

    status = fields.String(required=True)
    job_id = fields.Integer(required=True)
    action = fields.String(required=True)
    task_type = fields.String(required=True)


@blueprint.route(f"{_REPOSITORY}/maintenance", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.query(Action)
@blueprint.body(Action)
@blueprint.response(202, MaintenanceQueued)
def maintain(query: dict[str, Any], body: dict[str, Any], client_id: int, repository_id: int) -> dict[str, Any]:
    """Check, compact, prune a repository, or remove a lock left behind."""
    return _queue(client_id, repository_id, (query | body).get("action", ""))


@blueprint.route(f"{_REPOSITORY}/check", methods=["POST"])
@requires("provision", any_user=True)
@blueprint.response(202, MaintenanceQueued)
def check(client_id: int, repository_id: int) -> dict[str, Any]:
    """Check a repository."""
    return _queue(client_id, repository_id, "check")


def _queue(client_id: int, repository_id: int, action: str) -> dict[str, Any]:
    repository = repositories.find(clients.find(principal(), client_id), repository_id)
    job = maintenance.request(runtime(), repository, action)
    return {"status": "queued", "job_id": job.id, "action": action, "task_type": job.task_type}
