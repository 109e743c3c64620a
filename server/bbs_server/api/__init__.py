# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The admin API ``/api/v1``: HTTP in, HTTP out. One file per resource."""

from __future__ import annotations

from flask_smorest import Api

from bbs_server.api import clients, jobs, plans, plugin_configs, plugins, queue, repositories, server, storage, tokens

PREFIX = "/api/v1"


def register(api: Api) -> None:
    """Add all resources to the application."""
    for module in (clients, repositories, plans, jobs, queue, plugins, plugin_configs, storage, tokens, server):
        api.register_blueprint(module.blueprint, url_prefix=PREFIX)
