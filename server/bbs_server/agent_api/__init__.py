# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What agents call: ``/api/agent`` and ``/get-agent`` (agent-protocol.md)."""

from __future__ import annotations

from flask_smorest import Api

from bbs_server.agent_api import downloads, work


def register(api: Api) -> None:
    """Add the agents' routes to the application."""
    api.register_blueprint(work.blueprint, url_prefix="/api/agent")
    api.register_blueprint(downloads.blueprint)
