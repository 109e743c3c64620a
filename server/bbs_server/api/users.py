# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/users`` (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Text
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import users

blueprint = Blueprint("users", __name__, description="Who owns tokens and clients")


class UserShown(Schema):
    """A user."""

    id = fields.Integer(required=True)
    username = fields.String(required=True)
    email = fields.String()
    role = fields.String(metadata={"enum": list(users.ROLES)})
    all_clients = fields.Boolean()
    auth_provider = fields.String()
    oidc_status = fields.String()
    totp_enabled = fields.Boolean()
    timezone = fields.String()
    time_format = fields.String()


class UserList(Schema):
    """All users."""

    users = fields.List(fields.Nested(UserShown))


class UserCreation(Schema):
    """What a new user needs. A password may be sent, as upstream wants one, but is neither used nor kept."""

    username = Text(required=True)
    email = Text(required=True, maximum=users.EMAIL_LENGTH)
    role = Text(load_default=users.USER, maximum=16, metadata={"enum": list(users.ROLES)})


class UserChange(Schema):
    """What can be changed."""

    email = Text(maximum=users.EMAIL_LENGTH)
    role = Text(maximum=16, metadata={"enum": list(users.ROLES)})


class UserDeleted(Schema):
    """The reply to a deletion."""

    status = fields.String(required=True)


@blueprint.route("/users", methods=["GET"])
@requires("admin")
@blueprint.response(200, UserList)
def list_users() -> dict[str, Any]:
    """All users by name."""
    return {"users": users.listed()}


@blueprint.route("/users", methods=["POST"])
@requires("admin")
@blueprint.body(UserCreation)
@blueprint.response(201, UserShown)
def create_user(body: dict[str, Any]) -> dict[str, Any]:
    """Add a user."""
    return users.summary(users.create(runtime(), **body))


@blueprint.route("/users/<id:user_id>", methods=["GET"])
@requires("admin")
@blueprint.response(200, UserShown)
def get_user(user_id: int) -> dict[str, Any]:
    """One user."""
    return users.summary(users.find(user_id))


@blueprint.route("/users/<id:user_id>", methods=["PUT"])
@requires("admin")
@blueprint.body(UserChange)
@blueprint.response(200, UserShown)
def update_user(body: dict[str, Any], user_id: int) -> dict[str, Any]:
    """Change a user's address or role."""
    return users.summary(users.update(runtime(), users.find(user_id), body))


@blueprint.route("/users/<id:user_id>", methods=["DELETE"])
@requires("admin")
@blueprint.response(200, UserDeleted)
def delete_user(user_id: int) -> dict[str, Any]:
    """Remove a user with their tokens."""
    users.delete(runtime(), users.find(user_id), principal().user)
    return {"status": "ok"}
