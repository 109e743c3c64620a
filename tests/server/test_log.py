# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the audit log (admin-api.md §6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bbs_server.models import NAME_LENGTH

from .api_page import examples
from .conftest import Server
from .test_api_page import Reader


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


CHANGE_NOTHING = ["POST /api/v1/remote-ssh-configs/test", "POST /api/v1/remote-ssh-configs/1/test"]
"""Look at another host, and leave both sides as they are."""


def test_every_write_is_on_record(server: Server, tmp_path: Path) -> None:
    """Each request of docs/api.md that writes: which token, from where, what, to which object."""
    server.work()
    reader = Reader(server, tmp_path)
    silent = []
    for example in examples():
        seen = server.get("/log?limit=1")["log"]
        last = seen[0]["id"] if seen else 0
        reply = reader.follow(example)
        if not example.is_write or reply.status_code >= 400:
            continue
        new = [row for row in server.get("/log?limit=500")["log"] if row["id"] > last]
        if not any(row["actor"] == "token tests" and row["address"] == "127.0.0.1" for row in new):
            silent.append(f"{example.method} {example.path}")
        assert all(row["action"] and row["message"] for row in new)
    assert silent == CHANGE_NOTHING


def test_the_log_can_only_be_added_to(server: Server) -> None:
    routes = [rule for rule in server.app.url_map.iter_rules() if rule.rule.startswith("/api/v1/log")]

    assert routes
    assert [rule for rule in routes if rule.methods and not rule.methods <= {"GET", "HEAD", "OPTIONS"}] == []


def test_a_token_with_the_longest_name_is_on_record(server: Server) -> None:
    token = server.mint("x" * NAME_LENGTH)
    server.post("/clients", {"name": "a"}, token=token)

    actor = server.get("/log?limit=1")["log"][0]["actor"]
    assert len(actor) == NAME_LENGTH, "the column holds no more on PostgreSQL"
