# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the audit log (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Server


def test_the_log_is_newest_first_and_can_be_narrowed(server: Server) -> None:
    first = server.post("/clients", {"name": "a"})
    server.clock.forward(hours=1)
    server.post("/clients", {"name": "b"})

    page = server.get("/log", token=server.mint("reader", scope="read"))
    assert (page["limit"], page["offset"]) == (100, 0)
    assert [row["message"] for row in page["log"][:2]] == [
        'Token "reader" created with the scope read.',
        'Client "b" created.',
    ]
    (entry,) = server.get(f"/log?agent_id={first['id']}")["log"]
    assert entry == {
        "id": entry["id"],
        "level": "info",
        "message": 'Client "a" created.',
        "agent_id": first["id"],
        "agent_name": "a",
        "action": "client.create",
        "actor": "token tests",
        "address": "127.0.0.1",
        "created_at": "2026-11-23 12:00:00",
    }
    assert server.get("/log?since=2026-11-23 12:30:00&limit=1")["total"] == 2
    assert server.get("/log?level=error")["log"] == []
    assert server.get(f"/log?offset={page['total'] - 1}")["log"] == page["log"][-1:]
    assert server.get("/log?limit=1000")["limit"] == 500


@pytest.mark.parametrize(
    "query", ["level=loud", "agent_id=0", "agent_id=x", "since=yesterday", "limit=-1", "offset=-1", "limit=x"]
)
def test_a_bad_filter_is_refused(server: Server, query: str) -> None:
    reply: Any = server.call("GET", f"/log?{query}")

    assert reply.status_code == 400
    assert reply.json["error"].startswith(f"{query.split('=')[0]}: ")
