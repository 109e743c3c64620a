# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients over the API (admin-api.md §5.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peewee
import pytest

from bbs_server.borg.keys import AuthorizedKeys

from .conftest import Server


def test_creation_provisions_everything_an_agent_needs(server: Server) -> None:
    created = server.post("/clients", {"name": "  web01 "})

    assert created["name"] == "web01"
    assert created["status"] == "setup"
    assert len(created["api_key"]) == 64
    download = "{ curl -fsS https://bbs.example/get-agent; echo; echo exit 1; }"
    assert created["install_command"].startswith(f"{download} | sudo bash -s -- --server https://bbs.example --key ")
    assert created["install_command"].endswith(f"--key {created['api_key']}")
    assert (server.run.settings.storage / str(created["id"])).is_dir()
    keys = AuthorizedKeys(server.run.settings.ssh_directory).file.read_text()
    assert f"--client {created['id']}" in keys
    assert ",restrict ssh-ed25519 " in keys


def test_a_name_is_taken_once(server: Server, client: dict[str, Any]) -> None:
    reply = server.call("POST", "/clients", {"name": "web01"})

    assert reply.status_code == 409
    assert "web01" in reply.json["error"]
    assert len(server.get("/clients")["clients"]) == 1
    assert len(list(server.run.settings.storage.iterdir())) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "name: is required."),
        ({"name": None}, "name: must not be null."),
        ({"name": "   "}, "name: is required"),
        ({"name": "0"}, "name: is required"),
        ({"name": {"a": 1}}, "name: must be text."),
        ({"name": True}, "name: must be text."),
        ({"name": "n" * 101}, "name: must have at most 100 characters"),
        ({"name": "two\nlines"}, "name: must not contain line breaks"),
        ({"name": "\ud800"}, "name: must be text."),
        ([], "body: must be a JSON object."),
    ],
)
def test_a_bad_name_is_refused_with_a_reason(server: Server, body: Any, told: str) -> None:
    reply = server.call("POST", "/clients", body)

    assert reply.status_code == 400
    assert told in reply.json["error"]
    assert server.get("/clients") == {"clients": []}


@pytest.mark.parametrize("name", ["db/primary", "../../etc", 'O\'Brien "<b>" & co; --', "Büro 日本語", "🚀", 12345])
def test_any_printable_name_works(server: Server, name: Any) -> None:
    created = server.post("/clients", {"name": name})

    assert server.get(f"/clients/{created['id']}")["name"] == str(name)
    assert sorted(path.name for path in server.run.settings.storage.iterdir()) == [str(created["id"])]


def test_a_failure_in_the_middle_leaves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(AuthorizedKeys, "add", fail)
    reply = server.call("POST", "/clients", {"name": "web01"})

    assert reply.status_code == 500
    assert server.get("/clients") == {"clients": []}
    assert list(server.run.settings.storage.iterdir()) == []


def test_a_failed_commit_leaves_neither_folder_nor_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise peewee.OperationalError("database or disk is full")

    keys = AuthorizedKeys(server.run.settings.ssh_directory).file
    with monkeypatch.context() as patched:
        patched.setattr(server.run.database, "commit", fail)
        assert server.call("POST", "/clients", {"name": "web01"}).status_code == 500

    assert list(server.run.settings.storage.iterdir()) == []
    assert "bbs-client-" not in (keys.read_text() if keys.exists() else "")
    assert server.post("/clients", {"name": "web01"})["name"] == "web01"


def test_a_failed_commit_of_a_deletion_keeps_the_key(
    server: Server, client: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise peewee.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(server.run.database, "commit", fail)
        assert server.call("DELETE", f"/clients/{client['id']}").status_code == 500

    assert f"--client {client['id']}" in AuthorizedKeys(server.run.settings.ssh_directory).file.read_text()
    assert (server.run.settings.storage / str(client["id"])).is_dir()


def test_a_folder_left_over_is_named_and_kept(server: Server) -> None:
    left = server.run.settings.storage / "1"
    (left / "data").mkdir(parents=True)
    reply = server.call("POST", "/clients", {"name": "web01"})

    assert reply.status_code == 500
    assert f"The folder {left} of the new client exists already" in reply.json["error"]
    assert (left / "data").is_dir()
    assert server.get("/clients") == {"clients": []}


def test_list_is_by_name_and_can_name_one(server: Server) -> None:
    for name in ("b", "a", "c"):
        server.post("/clients", {"name": name})

    assert [row["name"] for row in server.get("/clients")["clients"]] == ["a", "b", "c"]
    assert [row["name"] for row in server.get("/clients?name=b")["clients"]] == ["b"]
    assert server.get("/clients?name=nobody") == {"clients": []}


def test_rename(server: Server, client: dict[str, Any]) -> None:
    server.post("/clients", {"name": "other"})
    path = f"/clients/{client['id']}"

    assert server.call("PUT", path, {"name": "web02"}).status_code == 200
    assert server.call("PUT", path, {"name": "web02"}).status_code == 200
    assert server.call("PUT", path, {"name": "other"}).status_code == 409
    assert server.call("PUT", path, {}).status_code == 400
    assert server.get(path)["name"] == "web02"


def test_agent_key_can_be_read_until_the_agent_has_registered(server: Server, client: dict[str, Any]) -> None:
    path = f"/clients/{client['id']}"
    assert server.get(path)["api_key"] == client["api_key"]
    assert server.get(f"{path}/install")["command"] == client["install_command"]

    assert server.agent("POST", "/register", client["api_key"], {"hostname": "web01"}).status_code == 200

    assert server.get(path)["api_key"] is None
    assert server.get(f"{path}/install")["command"] is None
    database = Path(server.run.settings.database.removeprefix("sqlite:///"))
    stored = b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*"))
    assert client["api_key"].encode() not in stored


def test_rotation_ends_the_old_key_at_once(server: Server, client: dict[str, Any]) -> None:
    rotated = server.post(f"/clients/{client['id']}/rotate-key")

    assert server.agent("POST", "/heartbeat", client["api_key"], {}).status_code == 401
    assert server.agent("POST", "/heartbeat", rotated["api_key"], {}).status_code == 200
    assert rotated["api_key"] in rotated["install_command"]


def test_status_follows_the_heartbeat(server: Server, client: dict[str, Any]) -> None:
    path = f"/clients/{client['id']}"
    assert server.get(path)["status"] == "setup"

    server.agent("POST", "/heartbeat", client["api_key"], {})
    assert server.get(path)["status"] == "online"

    server.clock.forward(seconds=91)
    assert server.get(path)["status"] == "offline"


def test_deletion_moves_data_to_the_trash_and_shuts_the_agent_out(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    server.post(f"/clients/{client['id']}/plans", body)

    assert server.call("DELETE", f"/clients/{client['id']}").status_code == 200

    assert server.call("GET", f"/clients/{client['id']}").status_code == 404
    assert server.agent("POST", "/heartbeat", client["api_key"], {}).status_code == 401
    assert AuthorizedKeys(server.run.settings.ssh_directory).file.read_text() == ""
    (trashed,) = (server.run.settings.storage / ".trash").iterdir()
    assert (trashed / "main" / "config").is_file()


def test_trash_is_emptied_after_its_time(server: Server, client: dict[str, Any]) -> None:
    server.call("DELETE", f"/clients/{client['id']}")
    trash = server.run.settings.storage / ".trash"

    server.clock.forward(days=6)
    server.work()
    assert len(list(trash.iterdir())) == 1

    server.clock.forward(days=2)
    server.work()
    assert list(trash.iterdir()) == []


def test_deletion_waits_for_jobs_unless_forced(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")

    refused = server.call("DELETE", f"/clients/{client['id']}")
    assert refused.status_code == 409
    assert refused.json["reason"] == "active_jobs"

    assert server.call("DELETE", f"/clients/{client['id']}?force=true").status_code == 200


def test_ids_are_never_used_again(server: Server) -> None:
    first = server.post("/clients", {"name": "a"})
    server.call("DELETE", f"/clients/{first['id']}")
    second = server.post("/clients", {"name": "a"})

    assert second["id"] > first["id"]


@pytest.mark.parametrize("path", ["/clients/0", "/clients/-1", "/clients/abc", "/clients/1/", f"/clients/{2**70}"])
def test_unknown_paths_are_json_404(server: Server, client: dict[str, Any], path: str) -> None:
    reply = server.call("GET", path)

    assert reply.status_code == 404
    assert list(reply.json) == ["error"]
