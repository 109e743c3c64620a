# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/repositories`` (admin-api.md §5.2)."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Flag, Page, listing
from bbs_server.api.repositories import RepositoryShown
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import all_repositories

blueprint = Blueprint("all_repositories", __name__, description="The repositories of all clients")


class OwnedRepository(RepositoryShown):
    """A repository with its client; with its passphrase only when that was asked for."""

    agent_id = fields.Integer()
    agent_name = fields.String()
    passphrase = fields.String(allow_none=True)


class OwnedRepositoryList(Schema):
    """All repositories."""

    repositories = fields.List(fields.Nested(OwnedRepository))
    include_secrets = fields.Boolean()


class IncludeSecrets(Page):
    """Whether to tell secrets."""

    include_secrets = Flag(load_default=False)


@blueprint.route("/repositories", methods=["GET"])
@requires("read")
@blueprint.query(IncludeSecrets)
@blueprint.response(200, OwnedRepositoryList)
def list_all_repositories(query: dict[str, Any]) -> Response:
    """The repositories of all clients, by client, then by name."""
    secrets = query["include_secrets"]
    found = all_repositories.listed(
        runtime(), principal(), include_secrets=secrets, limit=query["limit"], offset=query["offset"]
    )
    return listing("repositories", found, include_secrets=secrets)
