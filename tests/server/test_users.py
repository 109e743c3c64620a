# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users over the API (admin-api.md §6)."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.models import Client, User
from bbs_server.services import tokens

from .conftest import Server

BODY = {"username": "viewer", "email": "viewer@bbs.example"}


@pytest.fixture
def viewer(server: Server) -> dict[str, Any]:
    created: dict[str, Any] = server.post("/users", {**BODY, "password": "a password"})
    return created


def token_of(server: Server, user: dict[str, Any]) -> str:
    with server.run.database.connection_context():
        return tokens.create(server.run, User.get_by_id(user["id"]), "theirs", scope="admin")[1]


def test_users_are_listed_with_the_recorded_fields(server: Server, viewer: dict[str, Any]) -> None:
    assert viewer == {
        "id": viewer["id"],
        **BODY,
        "role": "user",
        "all_clients": False,
        "auth_provider": "local",
        "oidc_status": "active",
        "totp_enabled": False,
        "timezone": "UTC",
        "time_format": "24h",
    }
    assert [row["username"] for row in server.get("/users")["users"]] == ["admin", "viewer"]
    assert server.get(f"/users/{viewer['id']}") == viewer
    assert server.call("GET", "/users/999").status_code == 404


def test_a_user_sees_only_their_own_clients_and_changes_nothing_else(
    server: Server, client: dict[str, Any], viewer: dict[str, Any]
) -> None:
    token = token_of(server, viewer)
    assert server.get("/clients", token=token) == {"clients": []}
    assert server.call("GET", f"/clients/{client['id']}", token=token).status_code == 404
    for method, path in (("GET", "/users"), ("POST", "/clients"), ("GET", "/storage"), ("GET", "/repositories")):
        assert server.call(method, path, token=token).status_code == 403

    with server.run.database.connection_context():
        Client.update(owner=viewer["id"]).where(Client.id == client["id"]).execute()
    (seen,) = server.get("/clients", token=token)["clients"]
    assert seen["owner"] == "viewer"
    assert {row["agent_id"] for row in server.get("/log", token=token)["log"]} == {client["id"]}


def test_no_page_tells_a_user_of_others_clients(
    server: Server, client: dict[str, Any], repository: dict[str, Any], viewer: dict[str, Any]
) -> None:
    token = token_of(server, viewer)
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc"}
    server.post(f"/clients/{client['id']}/plans", body)
    server.clock.forward(hours=49)
    server.work()
    rules = [rule for rule in server.app.url_map.iter_rules() if not rule.arguments and "GET" in (rule.methods or ())]
    open_to_all = {rule.rule for rule in rules if vars(server.app.view_functions[rule.endpoint])["any_user"]}
    assert {"/api/v1/clients", "/api/v1/health", "/api/v1/queue"} <= open_to_all
    for page in open_to_all:
        shown = [
            server.http.get(page, headers={"Authorization": f"Bearer {one}"}).text for one in (server.token, token)
        ]
        assert client["name"] not in shown[1], page
        assert client["name"] in shown[0] or "preview" in page or "capacity" in page, page


def test_deletion_takes_the_tokens_and_leaves_the_clients(
    server: Server, client: dict[str, Any], viewer: dict[str, Any]
) -> None:
    token = token_of(server, viewer)
    with server.run.database.connection_context():
        Client.update(owner=viewer["id"]).where(Client.id == client["id"]).execute()

    assert server.call("DELETE", f"/users/{viewer['id']}").json == {"status": "ok"}

    assert server.call("GET", "/clients", token=token).status_code == 401
    assert server.get(f"/clients/{client['id']}")["owner"] is None


def test_the_last_administrator_and_oneself_stay(server: Server, viewer: dict[str, Any]) -> None:
    (admin,) = (row for row in server.get("/users")["users"] if row["role"] == "admin")
    path = f"/users/{admin['id']}"

    assert server.call("PUT", path, {"role": "user"}).json["reason"] == "last_admin"
    assert server.call("DELETE", path).json["reason"] == "own_user"
    assert server.call("PUT", f"/users/{viewer['id']}", {"role": "admin"}).json["role"] == "admin"
    assert server.call("DELETE", path, token=token_of(server, viewer)).status_code == 200


def test_names_and_addresses_are_taken_once(server: Server, viewer: dict[str, Any]) -> None:
    assert server.call("POST", "/users", BODY).status_code == 409
    assert server.call("POST", "/users", {**BODY, "username": "other"}).status_code == 409
    other = server.post("/users", {"username": "other", "email": "other@bbs.example"})
    assert server.call("PUT", f"/users/{other['id']}", {"email": BODY["email"]}).status_code == 409
    assert server.call("PUT", f"/users/{other['id']}", {"email": "new@bbs.example"}).json["email"] == "new@bbs.example"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"username": None}, "username: must not be null."),
        ({"username": ""}, "username: is required"),
        ({"username": "a\nb"}, "username: must not contain line breaks"),
        ({"username": ["a"]}, "username: must be text."),
        ({"username": "u" * 101}, "username: must have at most 100"),
        ({"email": "nobody"}, "email: must be an e-mail address."),
        ({"email": "a@b c"}, "email: must be an e-mail address."),
        ({"email": "e" * 256}, "email: must have at most 255"),
        ({"role": "root"}, "role: must be one of user, admin."),
        ({"role": 5}, "role: must be one of user, admin."),
    ],
)
def test_bad_values_are_refused(server: Server, changes: dict[str, Any], told: str) -> None:
    reply = server.call("POST", "/users", {**BODY, **changes})

    assert reply.status_code == 400
    assert told in reply.json["error"]
    assert len(server.get("/users")["users"]) == 1


def test_an_empty_change_is_refused(server: Server, viewer: dict[str, Any]) -> None:
    assert server.call("PUT", f"/users/{viewer['id']}", {}).status_code == 400
