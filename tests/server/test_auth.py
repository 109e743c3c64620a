# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every route with every kind of credential (admin-api.md §2), and the limit on guessing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from bbs_server.auth import LADDER, MAXIMUM_FAILURES, METRICS, WINDOW
from bbs_server.models import Archive, Token, User
from bbs_server.runtime import Runtime
from bbs_server.services import tokens

from .conftest import Server

NOBODY = 999_999
"""The id of an object that does not exist, so that no request does anything."""

PAGE = Path(__file__).parents[2] / "docs" / "access.md"


@dataclass(frozen=True)
class Route:
    """A page with one of its methods."""

    method: str
    path: str
    scope: str | None
    any_user: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def call(self, server: Server, credentials: str | None) -> TestResponse:
        headers = {} if credentials is None else {"Authorization": credentials}
        return server.http.open(self.path, method=self.method, headers=headers)

    def admits(self, scope: str) -> bool:
        """Whether a token of this scope, of an administrator, opens the route."""
        if METRICS in (scope, self.scope):
            return self.scope == METRICS
        return bool(self.scope and LADDER.index(scope) >= LADDER.index(self.scope))


def table() -> dict[str, tuple[str | None, bool]]:
    """What the documentation says: the scope of each route, and whether other users pass."""
    rows = re.findall(r"^\| `(\w+ /\S*)` \| ([\w ]+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    words = {"nothing": None, "agent key": "agent"}
    return {route: (words.get(scope, scope), others == "own clients") for route, scope, others in rows}


def template(rule: object) -> str:
    """A route as the documentation writes it: ``/clients/{client_id}``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))


def declared(app: Flask) -> list[str]:
    """All routes that there are; those of the admin API in front."""
    rules = sorted(app.url_map.iter_rules(), key=str)
    return [
        f"{method} {template(rule)}"
        for rule in rules
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def routes(app: Flask) -> Iterator[Route]:
    """All routes with what the documentation says of them."""
    expected = table()
    for name in declared(app):
        method, path = name.split(" ")
        yield Route(method, re.sub(r"{\w+}", str(NOBODY), path), *expected[name])


def for_tokens(server: Server) -> list[Route]:
    return [route for route in routes(server.app) if route.scope not in (None, "agent")]


def for_agents(server: Server) -> list[Route]:
    return [route for route in routes(server.app) if route.scope == "agent"]


def test_every_route_has_its_row_and_every_row_its_route(server: Server) -> None:
    assert sorted(table()) == sorted(declared(server.app))
    assert len(for_tokens(server)) > 30
    assert len(for_agents(server)) > 5


def test_what_is_public_is_known(server: Server) -> None:
    """A new public route has to be added here on purpose."""
    public = {route.path for route in routes(server.app) if route.scope is None}

    assert public <= {
        "/api/agent/download",
        "/api/v1/auth/discover",
        "/api/v1/docs",
        "/api/v1/openapi.json",
        "/get-agent",
        "/health",
    }


@pytest.fixture
def expired(server: Server) -> str:
    token = server.mint("expired", expires_at=server.clock() + timedelta(seconds=1))
    server.clock.forward(seconds=1)
    return token


@pytest.fixture
def revoked(server: Server) -> str:
    token = server.mint("revoked")
    with server.run.database.connection_context():
        tokens.revoke_named(server.run, "revoked")
    return token


def test_without_good_credentials_nothing_opens(
    server: Server, client: dict[str, Any], expired: str, revoked: str
) -> None:
    key = client["api_key"]
    bad = {
        "none": None,
        "empty": "Bearer ",
        "another scheme": "Basic YWRtaW46YWRtaW4=",
        "scheme in small letters": f"bearer {server.token}",
        "two spaces": f"Bearer  {server.token}",
        "no scheme": server.token,
        "unknown": "Bearer bbs_tok_" + "0" * 48,
        "the hash of a token": "Bearer " + "0" * 64,
        "characters that are not ASCII": "Bearer ü",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
    }
    crossed = [(route, {"an agent key": f"Bearer {key}", **bad}) for route in for_tokens(server)]
    crossed += [(route, {"an API token": f"Bearer {server.token}", **bad}) for route in for_agents(server)]

    opened = []
    for route, credentials in crossed:
        server.clock.forward(seconds=WINDOW.total_seconds())  # the limit on failures is another test's subject
        for kind, header in credentials.items():
            reply = route.call(server, header)
            if reply.status_code != 401 or list(reply.get_json()) != ["error"]:
                opened.append(f"{route} with {kind}: {reply.status_code} {reply.text}")
    assert opened == []


@pytest.mark.parametrize("scope", [*LADDER, METRICS])
def test_a_token_opens_what_its_scope_includes(server: Server, scope: str) -> None:
    token = server.mint(f"of scope {scope}", scope=scope)

    wrong = []
    for route in for_tokens(server):
        reply = route.call(server, f"Bearer {token}")
        if (reply.status_code != 403) != route.admits(scope) or reply.status_code == 401:
            wrong.append(f"{route} ({route.scope}): {reply.status_code} {reply.text[:100]}")
    assert wrong == []


def test_a_user_who_is_no_administrator_sees_only_their_own(server: Server, client: dict[str, Any]) -> None:
    token = _token_of_another_user(server)

    wrong = []
    for route in for_tokens(server):
        reply = route.call(server, f"Bearer {token}")
        if (reply.status_code == 403) == route.any_user or reply.status_code == 401:
            wrong.append(f"{route}: {reply.status_code} {reply.text[:100]}")
    assert wrong == []
    assert server.get("/clients", token=token) == {"clients": []}
    assert server.call("GET", f"/clients/{client['id']}", token=token).status_code == 404


def test_a_deleted_user_takes_the_tokens_along(server: Server) -> None:
    token = _token_of_another_user(server)
    with server.run.database.connection_context():
        User.delete().where(User.username == "viewer").execute()

    assert server.call("GET", "/clients", token=token).status_code == 401


OF_ANOTHER_CLIENT = {
    "POST /api/agent/catalog": 404,
    "POST /api/agent/heartbeat": 200,
    "POST /api/agent/info": 200,
    "POST /api/agent/progress": 404,
    "POST /api/agent/register": 200,
    "GET /api/agent/ssh-key": 200,
    "POST /api/agent/status": 404,
    "GET /api/agent/tasks": 200,
}
"""What an agent's key opens when the request names a job and an archive of another client."""


def test_an_agent_reaches_only_what_is_its_own(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    job = server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")["job_id"]
    server.agent("GET", "/tasks", client["api_key"])
    with server.run.database.connection_context():
        archive = Archive.create(repository=repository["id"], name="a", created_at=server.clock()).id
    other = server.post("/clients", {"name": "other"})["api_key"]
    report = {"job_id": job, "archive_id": archive, "files": [], "result": "completed", "hostname": "other"}

    assert set(OF_ANOTHER_CLIENT) == {str(route) for route in for_agents(server)}
    for route, status in OF_ANOTHER_CLIENT.items():
        method, path = route.replace("/api/agent", "").split()
        reply = server.agent(method, path, other, report)
        assert reply.status_code == status, f"{route}: {reply.text}"
        assert reply.get_json().get("tasks", []) == [], route
    assert server.get(f"/jobs/{job}")["status"] == "sent"
    assert server.get(f"/clients/{client['id']}")["hostname"] != "other"
    keys = [server.agent("GET", "/ssh-key", key).get_json()["ssh_private_key"] for key in (client["api_key"], other)]
    assert keys[0] != keys[1]
    for path in ("/progress", "/status"):
        assert server.agent("POST", path, client["api_key"], report).status_code == 200


def test_the_key_of_a_deleted_client_opens_nothing(server: Server, client: dict[str, Any]) -> None:
    assert server.agent("GET", "/tasks", client["api_key"]).status_code == 200
    server.call("DELETE", f"/clients/{client['id']}?force=true")

    assert server.agent("GET", "/tasks", client["api_key"]).status_code == 401


def test_guessing_ends_after_twenty_failures(server: Server, client: dict[str, Any]) -> None:
    for _ in range(MAXIMUM_FAILURES):
        assert _guess(server).status_code == 401
    server.clock.forward(seconds=100)
    refused = _guess(server)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "200"
    assert list(refused.get_json()) == ["error"]


def test_who_goes_on_guessing_holds_up_nobody_who_writes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MAXIMUM_FAILURES):
        _guess(server)
    monkeypatch.delattr(Runtime, "writing")
    assert _guess(server).status_code == 429


def test_good_credentials_pass_from_an_address_that_guesses(server: Server, client: dict[str, Any]) -> None:
    for _ in range(MAXIMUM_FAILURES + 1):
        last = _guess(server)

    assert last.status_code == 429
    assert server.call("GET", "/clients").status_code == 200
    assert server.agent("GET", "/tasks", client["api_key"]).status_code == 200
    assert _guess(server).status_code == 429, "a success does not reset the limit for who guesses"


def test_the_window_ends(server: Server) -> None:
    for _ in range(MAXIMUM_FAILURES + 1):
        _guess(server)
    server.clock.forward(seconds=WINDOW.total_seconds() - 1)
    assert _guess(server).status_code == 429, "refused attempts do not extend the window, but it has not ended"
    server.clock.forward(seconds=0.5)
    assert _guess(server).headers["Retry-After"] == "1", "not at once"

    server.clock.forward(seconds=0.5)
    assert _guess(server).status_code == 401


def test_addresses_and_apis_are_counted_apart(server: Server) -> None:
    for _ in range(MAXIMUM_FAILURES + 1):
        _guess(server)

    assert _guess(server, address="192.0.2.7").status_code == 401
    assert server.agent("GET", "/tasks", "bad").status_code == 401


def test_missing_credentials_are_no_guess(server: Server) -> None:
    for _ in range(MAXIMUM_FAILURES + 1):
        assert server.http.get("/api/v1/clients").status_code == 401

    assert _guess(server).status_code == 401


def test_use_of_a_token_is_noted(server: Server) -> None:
    token = server.mint("noted")
    assert server.call("GET", "/plugins", token=token).status_code == 200

    shown = next(row for row in server.get("/tokens")["tokens"] if row["name"] == "noted")
    assert shown["last_used_at"] == "2026-11-23 12:00:00"
    assert shown["last_seen_ip"] == "127.0.0.1"
    assert shown["is_current"] is False


def test_a_token_is_only_stored_as_a_hash(server: Server) -> None:
    token = server.mint("hashed")

    with server.run.database.connection_context():
        row = Token.get(Token.name == "hashed")
    assert len(row.token_hash) == 64
    assert token not in str(row.__data__)


def _guess(server: Server, address: str = "127.0.0.1") -> TestResponse:
    return server.call("GET", "/plugins", token="bad", environ_base={"REMOTE_ADDR": address})


def _token_of_another_user(server: Server) -> str:
    run = server.run
    with run.database.connection_context():
        viewer = User.create(username="viewer", email="viewer@bbs.example", role="user", created_at=run.clock())
        token: str = tokens.create(run, viewer, "viewer")[1]
    return token


def test_a_name_finds_one_token(server: Server) -> None:
    server.mint("other")

    assert [token["name"] for token in server.get("/tokens?name=other")["tokens"]] == ["other"]
    assert server.get("/tokens?name=Other")["tokens"] == []
