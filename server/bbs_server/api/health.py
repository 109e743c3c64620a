# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/health`` of the API (admin-api.md §6)."""

from __future__ import annotations

from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import health

blueprint = Blueprint("health", __name__, description="Whether the server does its work")


class Health(Schema):
    """All checks, with the worst of them on top."""

    status = fields.String(required=True, metadata={"enum": [health.OK, health.WARNING, health.CRITICAL]})
    version = fields.String()
    checked_at = fields.String()
    problems = fields.List(fields.String())
    checks = fields.Dict(keys=fields.String(), values=fields.Dict())


@blueprint.route("/health", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, Health)
@blueprint.alt_response(503, schema=Health)
def get_health() -> ResponseReturnValue:
    """Whether the server does its work; 503 when something is critical."""
    report = health.report(runtime(), principal())
    return report, 503 if report["status"] == health.CRITICAL else 200
