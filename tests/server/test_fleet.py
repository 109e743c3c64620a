# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything of all clients: the same as list by list, page by page, for a fixed number of statements."""

from __future__ import annotations

from typing import Any

from .conftest import Server
from .test_query_counts import counting

LISTS = {"repositories": "repositories", "plugin_configs": "plugin-configs", "plans": "plans"}


def fleet(server: Server, clients: int) -> list[int]:
    """Clients that have something of everything, but for the last."""
    ids: list[int] = [server.post("/clients", {"name": f"c{n}"})["id"] for n in range(clients)]
    for client in ids[:-1]:
        for name in ("Upper", "lower"):
            repository = server.post(f"/clients/{client}/repositories", {"name": name, "encryption": "none"})["id"]
            config = {"plugin": "mysql_dump", "name": name, "config": {"password": "CANARY"}}
            attached = server.post(f"/clients/{client}/plugin-configs", config)["id"]
            plan = {"name": name, "repository_id": repository, "directories": "/etc"}
            plan["plugins"] = [{"plugin_config_id": attached}]
            server.post(f"/clients/{client}/plans", plan)
    return ids


def pages(server: Server, limit: int) -> list[list[dict[str, Any]]]:
    found, after = [], 0
    while after is not None:
        page = server.get(f"/fleet?after={after}&limit={limit}")
        found.append(page["clients"])
        after = page["next"]
    return found


def test_the_same_as_list_by_list(server: Server) -> None:
    ids = fleet(server, 3)
    (found,) = pages(server, 3)
    summaries = {client["id"]: client for client in server.get("/clients")["clients"]}
    assert [client["id"] for client in found] == ids
    for client in found:
        lists = {key: client.pop(key) for key in LISTS}
        assert client == summaries[client["id"]]
        for key, path in LISTS.items():
            assert lists[key] == server.get(f"/clients/{client['id']}/{path}")[key]
    assert "CANARY" not in str(found)


def test_pages(server: Server) -> None:
    ids = fleet(server, 1) + [server.post("/clients", {"name": f"more{n}"})["id"] for n in range(4)]
    for limit, sizes in ((1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (6, [5])):
        found = pages(server, limit)
        assert [len(page) for page in found] == sizes
        assert [client["id"] for page in found for client in page] == ids


def test_the_end_and_beyond(server: Server) -> None:
    assert server.get("/fleet") == {"clients": [], "next": None}
    assert server.get("/fleet?after=999999") == {"clients": [], "next": None}


def test_statements_do_not_grow_with_the_fleet(server: Server) -> None:
    def asked() -> int:
        with counting(server) as seen:
            server.get("/fleet")
        return len(seen)

    fleet(server, 2)
    few = asked()
    for n in range(20):
        server.post("/clients", {"name": f"more{n}"})
    assert asked() == few
