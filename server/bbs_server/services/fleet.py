# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All clients with what belongs to them, page by page: for who compares a whole fleet."""

from __future__ import annotations

from typing import Any

from bbs_server.auth import Principal
from bbs_server.runtime import Runtime
from bbs_server.services import clients, plans, plugin_configs, repositories

FEATURE = "fleet"
"""How the server announces this (``/auth/discover``)."""


def page(run: Runtime, caller: Principal, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """The next clients by id, each with its repositories, plugin configs and plans as their lists tell them.

    :param after: the id that the last page ended with; 0 at first.
    :return: the clients, and where the next page begins; None when there is none.
    """
    # One more than is shown tells whether there are more.
    found = clients.page(run, caller, after, limit + 1)
    shown, more = found[:limit], len(found) > limit
    if not shown:
        return [], None
    ids = shown[0]["id"], shown[-1]["id"]
    lists = {
        "repositories": repositories.of_clients(ids),
        "plugin_configs": plugin_configs.of_clients(ids),
        "plans": plans.of_clients(run, ids),
    }
    complete = [
        client | {name: of_clients.get(client["id"], []) for name, of_clients in lists.items()} for client in shown
    ]
    return complete, ids[1] if more else None
