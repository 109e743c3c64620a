# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The admin API ``/api/v1``: HTTP in, HTTP out. One file per resource."""

from __future__ import annotations

from flask_smorest import Api

from bbs_server.api import (
    agent_tasks,
    all_repositories,
    archives,
    catalogues,
    client_stats,
    clients,
    health,
    jobs,
    log,
    maintenance,
    maintenance_mode,
    metrics,
    plans,
    plugin_configs,
    plugins,
    queue,
    remote_ssh_configs,
    repositories,
    s3_credentials,
    s3_links,
    schedules,
    server,
    storage,
    tokens,
    users,
)

PREFIX = "/api/v1"


RESOURCES = (
    clients, client_stats, agent_tasks, repositories, all_repositories, archives, catalogues, maintenance,
    s3_links, plans, schedules, jobs, queue, plugins, plugin_configs, storage, remote_ssh_configs, s3_credentials,
    tokens, users, log, health, metrics, maintenance_mode, server,
)  # fmt: skip


def register(api: Api) -> None:
    """Add all resources to the application."""
    for module in RESOURCES:
        api.register_blueprint(module.blueprint, url_prefix=PREFIX)
