# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repositories of all clients (admin-api.md §5.2)."""

from __future__ import annotations

from typing import Any

import pytest

from . import backups
from .conftest import Server


@pytest.fixture
def two(server: Server) -> list[dict[str, Any]]:
    """A repository of each of two clients, the first encrypted."""
    made = []
    for name, encryption in (("b", "repokey"), ("a", "none")):
        client = server.post("/clients", {"name": name})
        body = {"name": f"of-{name}", "encryption": encryption}
        made.append(server.post(f"/clients/{client['id']}/repositories", body) | {"client": client["id"]})
    return made


def test_all_are_listed_with_their_clients(server: Server, two: list[dict[str, Any]]) -> None:
    backups.record_archive(server, two[0], "plan1-a")

    listed = server.get("/repositories", token=server.mint("reader", scope="read"))

    assert listed["include_secrets"] is False
    first, second = listed["repositories"]
    assert (first["agent_name"], first["name"], first["archive_count"]) == ("a", "of-a", 0)
    assert (second["agent_id"], second["archive_count"]) == (two[0]["client"], 1)
    assert second["s3_sync_enabled"] is False
    assert "passphrase" not in second


def test_passphrases_need_a_right_of_their_own_and_leave_a_trace(server: Server, two: list[dict[str, Any]]) -> None:
    assert server.call("GET", "/repositories?include_secrets=1").status_code == 403
    reader = server.mint("secrets", scope="read", can_read_secrets=True)

    listed = server.get("/repositories?include_secrets=1", token=reader)

    assert listed["include_secrets"] is True
    assert [row["passphrase"] for row in listed["repositories"]] == [None, two[0]["passphrase"]]
    (entry,) = server.get("/log?level=warning")["log"]
    assert (entry["action"], entry["actor"]) == ("repository.read_secrets", "token secrets")
    assert two[0]["passphrase"] not in server.call("GET", "/log").text
    assert server.call("GET", "/repositories?include_secrets=perhaps").status_code == 400
