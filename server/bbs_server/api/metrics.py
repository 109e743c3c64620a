# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/metrics`` (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from bbs_server.api.http import Blueprint, Text
from bbs_server.auth import METRICS, requires
from bbs_server.runtime import runtime
from bbs_server.services import metrics

blueprint = Blueprint("metrics", __name__, description="Numbers for monitoring")

PROMETHEUS = "prometheus"
FORMATS = (PROMETHEUS, "json")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TEXTS = ("text/plain", "application/openmetrics-text")


class MetricsFormat(Schema):
    """The form; without it the ``Accept`` header decides, and JSON is sent when that leaves it open."""

    format = Text(validate=validate.OneOf(FORMATS, error=f"must be one of {', '.join(FORMATS)}."))


class Metrics(Schema):
    """The numbers as JSON."""

    generated_at = fields.String()
    clients = fields.Dict(keys=fields.String(), values=fields.Integer())
    queue = fields.Dict(keys=fields.String(), values=fields.Integer())
    backup_jobs_total = fields.List(fields.Dict())
    plans = fields.List(fields.Dict())
    repositories = fields.List(fields.Dict())


BOTH_FORMS: dict[str, Any] = {
    "description": "The numbers.",
    "content": {"application/json": {"schema": Metrics}, "text/plain": {"schema": {"type": "string"}}},
}
"""The answer in the OpenAPI document."""


@blueprint.route("/metrics", methods=["GET"])
@requires(METRICS)
@blueprint.query(MetricsFormat)
@blueprint.response(200, Metrics)
@blueprint.doc(responses={"200": BOTH_FORMS})
def get_metrics(query: dict[str, Any]) -> ResponseReturnValue:
    """Numbers for monitoring; a token with the scope ``metrics`` opens these and nothing else."""
    wanted = query.get("format") or (PROMETHEUS if _prefers_text() else "json")
    if wanted == PROMETHEUS:
        return Response(metrics.prometheus(runtime()), content_type=CONTENT_TYPE)
    return metrics.snapshot(runtime())


def _prefers_text() -> bool:
    # Scrapers name versions, as in text/plain;version=0.0.4, which would not match the bare type.
    named = [quality for kind, quality in request.accept_mimetypes if kind.split(";")[0].strip() in _TEXTS]
    return bool(named) and max(named) > request.accept_mimetypes.quality("application/json")
