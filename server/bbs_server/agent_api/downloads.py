# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/get-agent`` and ``/api/agent/download``: the agent and its installer (agent-protocol.md §2)."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema

from bbs_server import agent_artifact
from bbs_server.api.http import Blueprint, Text
from bbs_server.auth import public
from bbs_server.errors import NotFound

blueprint = Blueprint("downloads", __name__, description="The agent and its installer")


class FileName(Schema):
    """Which file."""

    file = Text(maximum=255)


@blueprint.route("/get-agent", methods=["GET"])
@public
@blueprint.query(FileName)
def get_agent(query: dict[str, Any]) -> Response:
    """The installer; another file when one is named."""
    return _send(query.get("file", agent_artifact.INSTALLER))


@blueprint.route("/api/agent/download", methods=["GET"])
@public
@blueprint.query(FileName)
def download(query: dict[str, Any]) -> Response:
    """One of the agent's files."""
    return _send(query.get("file", ""))


def _send(name: str) -> Response:
    content = agent_artifact.files().get(name)
    if content is None:
        raise NotFound(f"file: there is no such file; there are {', '.join(agent_artifact.files())}.")
    text = not name.endswith(".pyz")
    media = "text/plain; charset=utf-8" if text else "application/octet-stream"
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(content, content_type=media, headers=headers)
