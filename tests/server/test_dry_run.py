# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dry-run form of writes: which fields would change, and never a value (design: "secrets get a truthful answer").

That a dry run leaves no trace is shown for every write of the API in ``test_api_page.py``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import Server


def rehearse(server: Server, method: str, path: str, body: Any = None) -> Any:
    reply = server.call(method, f"{path}?dry_run=1", body)
    assert reply.status_code == 200, reply.text
    return reply.json


def test_discovery_announces_it(server: Server) -> None:
    assert "dry_run" in server.get("/auth/discover")["features"]


def test_an_update_names_the_fields_that_differ(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    base = f"/clients/{client['id']}/plans"
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "times": "02:00,14:00"}
    path = f"{base}/{server.post(base, body)['id']}"

    assert rehearse(server, "PUT", path, body | {"times": "14:00, 2:00"}) == {"changed": False, "fields": []}
    told = rehearse(server, "PUT", path, {"times": "03:00", "prune_days": 14})
    assert told == {"changed": True, "fields": ["next_run", "prune_days", "times"]}
    assert rehearse(server, "POST", f"{path}/resume") == {"changed": False, "fields": []}
    assert rehearse(server, "POST", f"{path}/pause")["fields"] == ["next_run", "paused"]
    assert rehearse(server, "POST", f"{path}/trigger") == {"changed": True, "fields": []}


def test_secrets_are_compared_and_never_told(server: Server, client: dict[str, Any]) -> None:
    base = f"/clients/{client['id']}/plugin-configs"
    config = {"user": "backup", "password": "canary-one"}
    path = f"{base}/{server.post(base, {'plugin': 'mysql_dump', 'name': 'm', 'config': config})['id']}"

    assert rehearse(server, "PUT", path, {"config": config}) == {"changed": False, "fields": []}
    told = rehearse(server, "PUT", path, {"config": {"password": "canary-two", "port": 3307}})
    assert told == {"changed": True, "fields": ["config.password", "config.port"]}


def test_credentials_are_compared_too(server: Server) -> None:
    body = {"endpoint": "https://s3.example.com", "region": "r", "bucket": "b", "access_key": "a", "secret_key": "s"}
    server.post("/s3-credentials", body)

    assert rehearse(server, "POST", "/s3-credentials", body) == {"changed": False, "fields": []}
    assert rehearse(server, "POST", "/s3-credentials", body | {"secret_key": "other"})["fields"] == ["secret_key"]


def test_a_creation_names_what_is_given(server: Server, client: dict[str, Any]) -> None:
    body = {"name": "r", "encryption": "none", "unknown": 1}

    told = rehearse(server, "POST", f"/clients/{client['id']}/repositories", body)
    assert told == {"changed": True, "fields": ["encryption", "name"]}
    assert server.get(f"/clients/{client['id']}/repositories") == {"repositories": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/clients", {"name": "web01"}, 409),
        ("POST", "/clients", {"name": ""}, 400),
        ("PUT", "/clients/99", {"name": "x"}, 404),
        ("DELETE", "/clients/99", None, 404),
    ],
)
def test_what_would_be_refused_is_refused(
    server: Server, client: dict[str, Any], method: str, path: str, body: Any, status: int
) -> None:
    assert server.call(method, f"{path}?dry_run=1", body).status_code == status
    assert server.call(method, path, body).status_code == status


def test_it_needs_the_same_rights_and_failures_are_counted(server: Server) -> None:
    reader = server.mint("reader", scope="read")
    assert server.call("POST", "/clients?dry_run=1", {"name": "x"}, token=reader).status_code == 403
    for _ in range(20):
        assert server.call("POST", "/clients?dry_run=1", {"name": "x"}, token="wrong").status_code == 401
    assert server.call("POST", "/clients?dry_run=1", {"name": "x"}, token="wrong").status_code == 429


def test_the_parameter_is_true_or_false(server: Server) -> None:
    refused = server.call("POST", "/clients?dry_run=maybe", {"name": "x"})
    assert (refused.status_code, refused.json) == (400, {"error": "dry_run: must be true or false."})
    assert server.call("POST", "/clients?dry_run=0", {"name": "x"}).status_code == 201
    assert server.call("HEAD", "/clients?dry_run=1").content_length == server.call("HEAD", "/clients").content_length


def test_it_waits_for_a_writer_instead_of_failing(server: Server, client: dict[str, Any]) -> None:
    def rehearse_often(_: int) -> set[int]:
        caller = server.app.test_client()
        headers = {"Authorization": f"Bearer {server.token}"}
        path = f"/api/v1/clients/{client['id']}?dry_run=1"
        return {caller.put(path, json={"name": "x"}, headers=headers).status_code for _ in range(10)}

    with ThreadPoolExecutor(4) as pool:
        codes = pool.map(rehearse_often, range(4))
    assert set().union(*codes) == {200}
