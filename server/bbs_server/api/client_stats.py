# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients/{id}/stats`` (admin-api.md §5.1)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import client_stats, clients

blueprint = Blueprint("client_stats", __name__, description="How the backups of a client go")


class NextBackup(Schema):
    """The next scheduled backup."""

    at = fields.String()
    plan_name = fields.String()


class SuccessRate(Schema):
    """Backups of the last 30 days."""

    succeeded = fields.Integer()
    total = fields.Integer()


class ClientStats(Schema):
    """A client's backups in numbers."""

    next_backup = fields.Nested(NextBackup, allow_none=True)
    avg_duration_seconds = fields.Integer(allow_none=True)
    sample_size = fields.Integer()
    success_rate = fields.Nested(SuccessRate)
    errors_7d = fields.Integer()


@blueprint.route("/clients/<id:client_id>/stats", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, ClientStats)
def get_client_stats(client_id: int) -> dict[str, Any]:
    """A client's backups in numbers."""
    return client_stats.of(runtime(), clients.find(principal(), client_id))
