# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/fleet``: what upstream tells client by client, at once; ours."""

from __future__ import annotations

from flask import Response, jsonify
from marshmallow import Schema, fields

from bbs_server.api.clients import ClientSummary
from bbs_server.api.http import LARGEST_ID, Blueprint, Whole
from bbs_server.api.plans import PlanShown
from bbs_server.api.plugin_configs import PluginConfigShown
from bbs_server.api.repositories import RepositoryShown
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import fleet

blueprint = Blueprint("fleet", __name__, description="All clients with what belongs to them")

LONGEST_PAGE = 1000


class FleetClient(ClientSummary):
    """A client as it stands in lists, with its own lists."""

    repositories = fields.List(fields.Nested(RepositoryShown))
    plugin_configs = fields.List(fields.Nested(PluginConfigShown))
    plans = fields.List(fields.Nested(PlanShown))


class FleetPage(Schema):
    """Some clients, by id."""

    clients = fields.List(fields.Nested(FleetClient))
    next = fields.Integer(
        allow_none=True, metadata={"description": "What ``after`` has to be for the next page; null after the last."}
    )


class FleetQuery(Schema):
    """Which page."""

    after = Whole(load_default=0, most=LARGEST_ID, metadata={"description": "Only clients with a larger id."})
    limit = Whole(load_default=200, least=1, most=LONGEST_PAGE, metadata={"description": "Clients on a page."})


@blueprint.route("/fleet", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(FleetQuery)
@blueprint.response(200, FleetPage)
def list_fleet(query: dict[str, int]) -> Response:
    """Clients with their repositories, plugin configs and plans, by id, page by page."""
    clients, after = fleet.page(runtime(), principal(), query["after"], query["limit"])
    # Written out as it is, as in the list of clients.
    return jsonify({"clients": clients, "next": after})
