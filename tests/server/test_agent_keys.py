# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys for enrolment, the agent's own, and what works while one replaces the other (docs/adr/0001)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Server, make_server

FACTS = {"hostname": "web01", "agent_version": "0.1.0"}


def works(server: Server, key: str) -> bool:
    status = server.agent("POST", "/heartbeat", key, {}).status_code
    assert status in (200, 401)
    return status == 200


def register(server: Server, key: str, **more: Any) -> dict[str, Any]:
    reply = server.agent("POST", "/register", key, FACTS | more)
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.get_json()
    return body


def shown(server: Server, client: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/clients/{client['id']}")
    return found


def test_a_key_nobody_registers_with_expires(server: Server, client: dict[str, Any]) -> None:
    assert shown(server, client)["key_expires_at"] == "2026-11-30 12:00:00"
    server.clock.forward(hours=168)

    refused = server.agent("POST", "/register", client["api_key"], FACTS)
    assert refused.status_code == 401
    assert "has expired" in refused.get_json()["error"]
    assert shown(server, client)["api_key"] is None
    assert server.get(f"/clients/{client['id']}/install")["command"] is None


def test_a_new_key_starts_anew(server: Server, client: dict[str, Any]) -> None:
    server.clock.forward(days=30)
    rotated = server.post(f"/clients/{client['id']}/rotate-key")

    assert register(server, rotated["api_key"])["status"] == "ok"


def test_a_registered_key_stays(server: Server, client: dict[str, Any]) -> None:
    """An upstream agent does not ask for another one."""
    assert "agent_key" not in register(server, client["api_key"])
    server.clock.forward(days=400)

    assert works(server, client["api_key"])
    assert shown(server, client)["key_expires_at"] is None


def test_keys_expire_only_where_that_is_wanted(tmp_path: Path) -> None:
    with make_server(tmp_path, enrolment_hours=0) as server:
        client = server.post("/clients", {"name": "web01"})
        server.clock.forward(days=400)
        assert works(server, client["api_key"])


def test_an_agent_trades_the_key_for_enrolment_for_its_own(server: Server, client: dict[str, Any]) -> None:
    own = register(server, client["api_key"], exchange_key=True)["agent_key"]

    assert works(server, own)
    assert not works(server, client["api_key"])
    assert shown(server, client)["api_key"] is None
    assert "agent_key" not in register(server, own, exchange_key=True)
    assert works(server, own)


def test_a_lost_answer_locks_nobody_out(server: Server, client: dict[str, Any]) -> None:
    lost = register(server, client["api_key"], exchange_key=True)["agent_key"]
    own = register(server, client["api_key"], exchange_key=True)["agent_key"]

    assert not works(server, lost)
    assert works(server, own)
    assert not works(server, client["api_key"])


def test_the_key_for_enrolment_is_not_kept_for_one_who_never_takes_the_new_one(
    server: Server, client: dict[str, Any]
) -> None:
    register(server, client["api_key"], exchange_key=True)
    server.clock.forward(days=1)

    assert not works(server, client["api_key"])


def test_with_an_overlap_the_old_key_works_until_the_new_one_is_used(server: Server, client: dict[str, Any]) -> None:
    register(server, client["api_key"])
    new = server.post(f"/clients/{client['id']}/rotate-key", {"overlap_hours": 24})["api_key"]

    assert works(server, client["api_key"])
    assert "agent_key" not in register(server, client["api_key"], exchange_key=True)
    assert shown(server, client)["api_key"] == new, "the old key's registration is not the new one's"
    assert works(server, new)
    assert not works(server, client["api_key"])


def test_an_overlap_ends(server: Server, client: dict[str, Any]) -> None:
    server.post(f"/clients/{client['id']}/rotate-key", {"overlap_hours": 24})
    server.clock.forward(hours=24)

    assert not works(server, client["api_key"])


@pytest.mark.parametrize("hours", [-1, 721, "long", True])
def test_an_impossible_overlap_is_refused(server: Server, client: dict[str, Any], hours: Any) -> None:
    refused = server.call("POST", f"/clients/{client['id']}/rotate-key", {"overlap_hours": hours})

    assert refused.status_code == 400
    assert refused.get_json()["error"].startswith("overlap_hours: must be")
    assert works(server, client["api_key"])


def test_a_key_of_another_client_is_never_taken_for_a_previous_one(server: Server, client: dict[str, Any]) -> None:
    other = server.post("/clients", {"name": "other"})
    server.post(f"/clients/{client['id']}/rotate-key", {"overlap_hours": 24})

    assert server.agent("POST", "/register", other["api_key"], FACTS).get_json()["name"] == "other"
    assert server.agent("POST", "/register", client["api_key"], FACTS).get_json()["name"] == client["name"]
