# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to clients, beside them: the same as list by list, for a fixed number of statements."""

from __future__ import annotations

import pytest

from bbs_server.services import ids

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


def test_the_same_as_list_by_list(server: Server) -> None:
    fleet(server, 3)
    alone = server.get("/clients")["clients"]
    found = server.get(f"/clients?include={','.join(LISTS)}")["clients"]
    for client, summary in zip(found, alone, strict=True):
        lists = {key: client.pop(key) for key in LISTS}
        assert client == summary
        for key, path in LISTS.items():
            assert lists[key] == server.get(f"/clients/{client['id']}/{path}")[key]
    assert "CANARY" not in str(found)


def test_a_page_of_clients_from_all_over_the_fleet(server: Server) -> None:
    first, *_, last = fleet(server, 12)
    server.post(f"/clients/{last}/repositories", {"name": "main", "encryption": "none"})
    for name, client in (("a", last), ("b", first)):
        server.call("PUT", f"/clients/{client}", {"name": name})
    server.clock.forward(hours=49)

    everything = server.get(f"/clients?include={','.join(LISTS)}")["clients"]
    page = server.get(f"/clients?limit=2&include={','.join(LISTS)}")["clients"]
    assert [client["id"] for client in page] == [last, first]
    assert page == everything[:2]
    assert [client["stale"] for client in page] == [False, True]
    with counting(server) as seen:
        server.get(f"/clients?limit=2&include={','.join(LISTS)}")
    assert not [sql for sql in seen if "BETWEEN" in sql], "what lies between would be most of the fleet"


@pytest.mark.parametrize(
    "path", [f"/clients?include={','.join(LISTS)}", "/repositories", "/repositories?include_secrets=1", "/schedules"]
)
def test_a_long_list_is_sent_in_parts(server: Server, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    fleet(server, 3)
    token = server.mint("reader", can_read_secrets=True)
    whole = server.call("GET", path, token=token)
    monkeypatch.setattr(ids, "MOST", 1)
    parts = server.call("GET", path, token=token)

    assert parts.data == whole.data
    assert whole.content_length == len(whole.data)
    assert parts.content_length is None, "nobody knows how long it will be"
    assert server.run.database.is_closed(), "the connection was given back after the last part"


def test_only_what_is_asked_for(server: Server) -> None:
    fleet(server, 3)
    (found,) = server.get("/clients?name=c1&include=plans, repositories")["clients"]
    assert {key: len(found[key]) for key in LISTS if key in found} == {"plans": 2, "repositories": 2}
    assert server.get("/clients?name=unknown&include=plans") == {"clients": []}


def test_there_is_no_such_list(server: Server) -> None:
    reply = server.call("GET", "/clients?include=plans,jobs")
    assert reply.status_code == 400
    assert reply.json == {
        "error": "include: must be some of repositories, plugin_configs, plans, with commas between them."
    }


def test_statements_do_not_grow_with_the_fleet(server: Server) -> None:
    def asked() -> int:
        with counting(server) as seen:
            server.get(f"/clients?include={','.join(LISTS)}")
        return len(seen)

    fleet(server, 2)
    few = asked()
    for n in range(20):
        server.post("/clients", {"name": f"more{n}"})
    assert asked() == few
