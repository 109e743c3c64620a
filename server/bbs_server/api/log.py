# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/log`` (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import LARGEST_ID, Blueprint, Text, Whole
from bbs_server.api.tokens import Moment
from bbs_server.auth import principal, requires
from bbs_server.services import log

blueprint = Blueprint("log", __name__, description="Who did what, from where")


class LogEntry(Schema):
    """Something that was done."""

    id = fields.Integer(required=True)
    level = fields.String()
    message = fields.String()
    agent_id = fields.Integer(allow_none=True)
    agent_name = fields.String(allow_none=True)
    action = fields.String()
    actor = fields.String()
    address = fields.String(allow_none=True)
    created_at = fields.String()


class LogPage(Schema):
    """A part of the log."""

    log = fields.List(fields.Nested(LogEntry))
    total = fields.Integer()
    limit = fields.Integer()
    offset = fields.Integer()


class LogFilter(Schema):
    """Which part of the log."""

    level = Text(maximum=16, metadata={"enum": list(log.LEVELS)})
    agent_id = Whole(least=1, most=LARGEST_ID)
    since = Moment(metadata={"type": "string"})
    limit = Whole(load_default=log.DEFAULT_PAGE)
    offset = Whole(load_default=0)


@blueprint.route("/log", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(LogFilter)
@blueprint.response(200, LogPage)
def list_log(query: dict[str, Any]) -> dict[str, Any]:
    """The audit log, newest first."""
    client_id = query.pop("agent_id", None)
    return log.page(principal(), client_id=client_id, **query)
