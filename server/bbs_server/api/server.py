# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server says about itself: ``/auth/discover`` and ``/health`` (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

import peewee
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields

from bbs_server import __version__, dry_run
from bbs_server.api.http import Blueprint
from bbs_server.auth import public
from bbs_server.models import User
from bbs_server.services import tokens

blueprint = Blueprint("server", __name__, description="The server itself")

PRODUCT = "borgfleet-bbs"


class Discovery(Schema):
    """Which server this is, and how to log in."""

    product = fields.String()
    server_name = fields.String()
    version = fields.String()
    api_version = fields.Integer()
    local_login_enabled = fields.Boolean()
    oidc_enabled = fields.Boolean()
    features = fields.List(fields.String())


@blueprint.route("/auth/discover", methods=["GET"])
@public
@blueprint.response(200, Discovery)
def discover() -> dict[str, Any]:
    """Which server this is."""
    return {
        "product": PRODUCT,
        "server_name": "Borg Backup Server",
        "version": __version__,
        "api_version": 1,
        "local_login_enabled": False,
        "oidc_enabled": False,
        "features": [dry_run.FEATURE, tokens.FEATURE],
    }


def register_liveness(app: Flask) -> None:
    """Add ``/health``: whether the server answers and reaches its database."""

    @app.get("/health")
    @public
    def health() -> ResponseReturnValue:
        try:
            User.select().limit(1).count()
        except peewee.PeeweeException:
            return jsonify({"status": "error"}), 503
        return jsonify({"status": "ok"})
