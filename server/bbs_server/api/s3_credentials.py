# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/s3-credentials`` (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from bbs_server.api.all_repositories import IncludeSecrets
from bbs_server.api.http import Blueprint, Text
from bbs_server.auth import principal, requires
from bbs_server.runtime import runtime
from bbs_server.services import s3_credentials

blueprint = Blueprint("s3_credentials", __name__, description="The server's own S3 storage")

URL_LENGTH = 500


class S3CredentialsShown(Schema):
    """Where the storage is; its keys only when they were asked for."""

    endpoint = fields.String()
    region = fields.String()
    bucket = fields.String()
    path_prefix = fields.String()
    configured = fields.Boolean()
    access_key = fields.String(allow_none=True)
    secret_key = fields.String(allow_none=True)


class S3CredentialsGiven(Schema):
    """The storage and its keys; all but the prefix are needed."""

    endpoint = Text(maximum=URL_LENGTH)
    region = Text()
    bucket = Text()
    path_prefix = Text(maximum=URL_LENGTH, allow_none=True)
    access_key = Text(maximum=URL_LENGTH)
    secret_key = Text(maximum=URL_LENGTH)


class S3CredentialsStored(Schema):
    """The names of the fields that were set."""

    status = fields.String(required=True)
    fields_ = fields.List(fields.String(), data_key="fields", attribute="fields")


class S3CredentialsDeleted(Schema):
    """How many repositories are not copied any more."""

    status = fields.String(required=True)
    disabled_repositories = fields.Integer()


@blueprint.route("/s3-credentials", methods=["GET"])
@requires("read")
@blueprint.query(IncludeSecrets)
@blueprint.response(200, S3CredentialsShown)
def get_s3_credentials(query: dict[str, Any]) -> dict[str, Any]:
    """Where the server's own S3 storage is."""
    return s3_credentials.shown(runtime(), principal(), include_secrets=query["include_secrets"])


@blueprint.route("/s3-credentials", methods=["POST"])
@requires("admin")
@blueprint.body(S3CredentialsGiven)
@blueprint.response(200, S3CredentialsStored)
def store_s3_credentials(body: dict[str, Any]) -> dict[str, Any]:
    """Put the credentials in place of what was there."""
    return {"status": "ok", "fields": s3_credentials.store(runtime(), body)}


@blueprint.route("/s3-credentials", methods=["DELETE"])
@requires("admin")
@blueprint.response(200, S3CredentialsDeleted)
def delete_s3_credentials() -> dict[str, Any]:
    """Forget the credentials and stop copying repositories."""
    return {"status": "ok", "disabled_repositories": s3_credentials.clear(runtime())}
