# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two identical requests at once: one creates, the other is told that it exists."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from .conftest import Server

AT_ONCE = 4


def at_once(server: Server, path: str, body: dict[str, Any]) -> list[int]:
    barrier = Barrier(AT_ONCE)

    def post(_: int) -> int:
        barrier.wait()
        headers = {"Authorization": f"Bearer {server.token}"}
        return server.app.test_client().post(f"/api/v1{path}", json=body, headers=headers).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sorted(pool.map(post, range(AT_ONCE)))


@pytest.mark.parametrize("path", ["/clients", "/tokens"])
def test_names_of_the_whole_server(server: Server, path: str) -> None:
    assert at_once(server, path, {"name": "web02"}) == [201] + [409] * (AT_ONCE - 1)


def test_names_within_a_client(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    base = f"/clients/{client['id']}"
    bodies = {
        "repositories": {"name": "second", "encryption": "none"},
        "plugin-configs": {"plugin": "shell_hook", "name": "h", "config": {}},
        "plans": {"name": "p", "repository_id": repository["id"], "directories": "/etc"},
    }
    for kind, body in bodies.items():
        assert at_once(server, f"{base}/{kind}", body) == [201] + [409] * (AT_ONCE - 1), kind
    folder = server.run.settings.storage / str(client["id"])
    assert sorted(path.name for path in folder.iterdir()) == ["main", "second"]


def test_a_plan_is_triggered_once(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)

    codes = at_once(server, f"/clients/{client['id']}/plans/{plan['id']}/trigger", {})
    assert codes == [200] + [409] * (AT_ONCE - 1)
    assert server.get("/queue")["count"] == 1
