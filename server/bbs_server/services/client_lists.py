# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to many clients, beside them: for who compares a whole fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bbs_server.errors import Invalid
from bbs_server.runtime import Runtime
from bbs_server.services import plans, plugin_configs, repositories

Lists = dict[int, list[dict[str, Any]]]

LISTS: Mapping[str, Callable[[Runtime, Sequence[int]], Lists]] = {
    "repositories": lambda run, ids: repositories.of_clients(ids),
    "plugin_configs": lambda run, ids: plugin_configs.of_clients(ids),
    "plans": plans.of_clients,
}


def named(include: str | None) -> list[str]:
    """The lists that are asked for.

    :param include: names of :data:`LISTS` with commas between them.
    :raises Invalid: there is no such list.
    """
    wanted = [name.strip() for name in (include or "").split(",") if name.strip()]
    if not set(wanted) <= set(LISTS):
        raise Invalid(f"include: must be some of {', '.join(LISTS)}, with commas between them.")
    return wanted


def added(run: Runtime, clients: list[dict[str, Any]], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Clients as they are listed, each with some of its own lists."""
    if not wanted:
        return clients
    numbers = [client["id"] for client in clients]
    found = {name: LISTS[name](run, numbers) for name in wanted}
    return [client | {name: lists.get(client["id"], []) for name, lists in found.items()} for client in clients]
