# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/tokens`` (admin-api.md §5.9)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields

from bbs_server.api.http import Blueprint, Flag, Text
from bbs_server.auth import SCOPES, principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import tokens

blueprint = Blueprint("tokens", __name__, description="Credentials for this API")


class TokenShown(Schema):
    """A token, without itself."""

    id = fields.Integer(required=True)
    name = fields.String()
    kind = fields.String()
    scope = fields.String(metadata={"enum": list(SCOPES)})
    can_read_secrets = fields.Boolean()
    user_id = fields.Integer()
    username = fields.String()
    created_at = fields.String()
    last_used_at = fields.String(allow_none=True)
    last_seen_ip = fields.String(allow_none=True)
    expires_at = fields.String(allow_none=True)
    device_name = fields.String(allow_none=True)
    is_current = fields.Boolean()


class TokenList(Schema):
    """All tokens."""

    tokens = fields.List(fields.Nested(TokenShown))


class TokenFilter(Schema):
    """How the list can be narrowed."""

    name = Text(metadata={"description": "Only the token of exactly this name."})


class Moment(fields.Field[datetime]):
    """A time: ``YYYY-MM-DD HH:MM:SS`` in UTC, or ISO 8601 with a zone."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValidationError("must be a time such as 2030-01-31 00:00:00 (UTC).") from error


class TokenCreation(Schema):
    """What a new token needs."""

    name = Text(required=True)
    scope = Text(load_default="admin", maximum=16)
    can_read_secrets = Flag(load_default=False)
    expires_at = Moment(load_default=None, allow_none=True, metadata={"type": "string"})


class TokenCreated(Schema):
    """A new token, shown this once."""

    id = fields.Integer(required=True)
    token = fields.String(required=True)


@blueprint.route("/tokens", methods=["GET"])
@requires("admin")
@blueprint.query(TokenFilter)
@blueprint.response(200, TokenList)
def list_tokens(query: dict[str, Any]) -> dict[str, Any]:
    """All tokens, newest first."""
    return {"tokens": tokens.listed(principal().token, query.get("name"))}


@blueprint.route("/tokens", methods=["POST"])
@requires("admin")
@blueprint.body(TokenCreation)
@blueprint.response(201, TokenCreated)
def create_token(body: dict[str, Any]) -> dict[str, Any]:
    """Mint a token."""
    row, text = tokens.create(runtime(), principal().user, **body)
    return {"id": row.id, "token": text}


@blueprint.route("/tokens/<id:token_id>", methods=["DELETE"])
@requires("admin")
@blueprint.response(204)
def delete_token(token_id: int) -> None:
    """End a token at once; it may be the one of this request."""
    tokens.revoke(runtime(), tokens.find(token_id))
