# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/repositories/{id}/s3-sync`` (admin-api.md §5.2)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import LARGEST_ID, Blueprint, Flag, Whole
from bbs_server.auth import requires
from bbs_server.runtime import runtime
from bbs_server.services import s3_links

blueprint = Blueprint("s3_links", __name__, description="Copies of repositories in S3 storage")


class S3Switch(Schema):
    """Whether to copy, and with which s3_sync configuration (ours; upstream links in its web pages only)."""

    enabled = Flag(required=True)
    plugin_config_id = Whole(least=1, most=LARGEST_ID, load_default=None, allow_none=True)


class S3Switched(Schema):
    """Whether the repository is copied now."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    s3_sync_enabled = fields.Boolean(required=True)


@blueprint.route("/repositories/<id:repository_id>/s3-sync", methods=["PUT"])
@requires("provision")
@blueprint.body(S3Switch)
@blueprint.response(200, S3Switched)
def switch_s3_sync(body: dict[str, Any], repository_id: int) -> dict[str, Any]:
    """Turn the copying of a repository to S3 storage on or off."""
    return s3_links.switch(runtime(), s3_links.find_repository(repository_id), **body)
