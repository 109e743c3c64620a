# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remote SSH configs over the API, against a real sshd (admin-api.md §5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from bbs_server.borg.keys import generate
from bbs_server.models import RemoteSshConfig

from .conftest import Server
from .remote_host import RemoteHost, remote_host

PATH = "/remote-ssh-configs"


@pytest.fixture
def host() -> Iterator[RemoteHost]:
    with remote_host() as running:
        yield running


def values(**changes: Any) -> dict[str, Any]:
    """A configuration of a host that is not contacted."""
    key = generate().private
    given = {"name": "offsite", "remote_host": "remote.example", "remote_user": "me", "ssh_private_key": key}
    return {**given, **changes}


def test_creation_fills_in_defaults_and_never_shows_the_key(server: Server) -> None:
    given = values()
    created = server.call("POST", PATH, given)

    assert created.status_code == 201
    assert created.json == {
        "id": created.json["id"],
        "name": "offsite",
        "provider": None,
        "remote_host": "remote.example",
        "remote_port": 22,
        "remote_user": "me",
        "remote_base_path": "./",
        "borg_remote_path": None,
        "append_repo_name": True,
        "ssh_private_key_set": True,
        "disk_total_bytes": None,
        "disk_used_bytes": None,
        "disk_free_bytes": None,
        "disk_checked_at": None,
        "disk_check_error": None,
        "repository_count": 0,
        "created_at": "2026-11-23 12:00:00",
    }
    assert server.get(PATH) == {"remote_ssh_configs": [created.json]}
    assert server.get(f"{PATH}/{created.json['id']}") == created.json
    body = given["ssh_private_key"].splitlines()[2]
    assert body not in server.call("GET", "/storage").text
    database = Path(server.run.settings.database.removeprefix("sqlite:///"))
    assert body.encode() not in b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*"))


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"name": ""}, 422, "name: is required"),
        ({"name": "  "}, 422, "name: is required"),
        ({"remote_host": ""}, 422, "remote_host: is required"),
        ({"remote_user": ""}, 422, "remote_user: is required"),
        ({"ssh_private_key": ""}, 422, "ssh_private_key: is required"),
        ({"ssh_private_key": "not a key"}, 422, "ssh_private_key: must be a private key"),
        ({"name": "two\nlines"}, 400, "name: must not contain line breaks"),
        ({"remote_host": "-oProxyCommand=x"}, 422, "remote_host: must be a host name"),
        ({"remote_host": "a b"}, 422, "remote_host: must be a host name"),
        ({"remote_host": "h/../x"}, 422, "remote_host: must be a host name"),
        ({"remote_user": "-oProxyCommand=x"}, 422, "remote_user: must be the name"),
        ({"remote_user": "a@b"}, 422, "remote_user: must be the name"),
        ({"remote_base_path": "a;rm -rf"}, 422, "remote_base_path: must be a path"),
        ({"remote_base_path": "$(x)"}, 422, "remote_base_path: must be a path"),
        ({"remote_base_path": "/"}, 422, "remote_base_path: must be a path"),
        ({"borg_remote_path": "borg;x"}, 422, "borg_remote_path: must be the name"),
        ({"borg_remote_path": "-x"}, 422, "borg_remote_path: must be the name"),
        ({"provider": "acme"}, 422, "provider: must be one of"),
        ({"remote_port": 0}, 400, "remote_port: must be a whole number from 1 to 65535"),
        ({"remote_port": 65536}, 400, "remote_port: must be a whole number"),
        ({"remote_port": "ssh"}, 400, "remote_port: must be a whole number"),
        ({"remote_host": {}}, 400, "remote_host: must be text."),
        ({"append_repo_name": "perhaps"}, 400, "append_repo_name: must be true or false."),
        ({"name": None}, 400, "name: must not be null."),
        ({"name": "n" * 101}, 400, "name: must have at most 100"),
    ],
)
def test_bad_values_are_refused(server: Server, changes: dict[str, Any], status: int, told: str) -> None:
    for path in (PATH, f"{PATH}/test"):
        reply = server.call("POST", path, values(**changes))
        if path == PATH or "name" not in changes:
            assert reply.status_code == status, reply.json
            assert told in reply.json["error"]
    assert server.get(PATH) == {"remote_ssh_configs": []}


@pytest.mark.parametrize("missing", ["name", "remote_host", "remote_user", "ssh_private_key"])
def test_what_is_required(server: Server, missing: str) -> None:
    given = values()
    del given[missing]

    reply = server.call("POST", PATH, given)

    assert reply.status_code == 422
    assert reply.json["error"].startswith(f"{missing}: is required")


def test_keys_in_pem_and_with_windows_line_ends_are_taken_but_none_with_a_passphrase(server: Server) -> None:
    key = generate_ec(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()

    assert server.call("POST", PATH, values(ssh_private_key=pem.replace("\n", "\r\n"))).status_code == 201
    reply = server.call("POST", PATH, values(name="locked", ssh_private_key=locked))
    assert (reply.status_code, "without a passphrase" in reply.json["error"]) == (422, True)


def test_borgbase_is_known_by_its_name(server: Server) -> None:
    created = server.post(PATH, values(remote_host="abc123.repo.borgbase.com"))
    assert created["provider"] == "borgbase"


def test_a_change_keeps_the_key_unless_one_is_given(server: Server) -> None:
    given = values()
    path = f"{PATH}/{server.post(PATH, given)['id']}"

    def key() -> str:
        with server.run.database.connection_context():
            row = RemoteSshConfig.get()
            assert row.sealed_private_key
            return server.run.keyring.open(
                row.sealed_private_key, table="remote_ssh_configs", column="private_key", row=row.id
            )

    changed = server.call("PUT", path, {"name": "moved", "remote_port": 2222, "ssh_private_key": ""}).json
    assert (changed["name"], changed["remote_port"], changed["remote_user"]) == ("moved", 2222, "me")
    assert key() == given["ssh_private_key"]
    other = generate().private
    server.call("PUT", path, {"ssh_private_key": other})
    assert key() == other

    assert server.call("PUT", path, {}).status_code == 422
    assert server.call("PUT", path, {"ssh_private_key": ""}).status_code == 422
    assert server.call("PUT", path, {"remote_host": " "}).status_code == 422
    assert server.call("PUT", f"{PATH}/999", {"name": "x"}).status_code == 404


def test_a_name_is_given_once(server: Server) -> None:
    first, second = server.post(PATH, values()), server.post(PATH, values(name="other"))
    for method, path, body in (("POST", PATH, values()), ("PUT", f"{PATH}/{second['id']}", {"name": " offsite "})):
        reply = server.call(method, path, body)
        assert (reply.status_code, reply.json["reason"]) == (409, "name_taken"), reply.json
    assert server.call("PUT", f"{PATH}/{first['id']}", {"name": "offsite", "remote_port": 23}).status_code == 200
    assert [config["name"] for config in server.get(PATH)["remote_ssh_configs"]] == ["offsite", "other"]


def test_deletion(server: Server) -> None:
    created = server.post(PATH, values())

    reply = server.call("DELETE", f"{PATH}/{created['id']}")

    assert reply.json == {"status": "ok", "deleted": created["id"]}
    assert server.call("DELETE", f"{PATH}/{created['id']}").status_code == 404


def test_login_is_tried_without_storing(server: Server, host: RemoteHost) -> None:
    found = server.post(f"{PATH}/test", host.config())
    assert found["status"] == "ok"
    assert found["version"].startswith("1.")

    refused = server.post(f"{PATH}/test", host.config(ssh_private_key=generate().private))
    assert refused["status"] == "error"
    assert "Permission denied" in refused["error"]
    assert server.get(PATH) == {"remote_ssh_configs": []}
    assert list(server.run.settings.run_directory.iterdir()) == []


def test_a_test_learns_the_host_key_and_the_room(server: Server, host: RemoteHost) -> None:
    path = f"{PATH}/{server.post(PATH, host.config())['id']}"

    first = server.post(f"{path}/test", {})
    assert (first["status"], first["quota_changed"]) == ("ok", True)
    shown = server.get(path)
    assert shown["disk_total_bytes"] > shown["disk_free_bytes"] > 0
    assert shown["disk_checked_at"] == "2026-11-23 12:00:00"

    host.stop()
    host.new_host_key()
    host.start()
    refused = server.post(f"{path}/test")
    assert refused["status"] == "error"
    assert "host key of 127.0.0.1 has changed" in refused["error"]
    assert server.get(path)["disk_check_error"] == refused["error"]

    assert server.post(f"{path}/test", {"forget_host_key": True})["status"] == "ok"
    assert server.post(f"{path}/test")["status"] == "ok"


def test_an_account_that_does_not_tell_a_version_is_good(server: Server, host: RemoteHost) -> None:
    host.allow('command="true",restrict')

    found = server.post(f"{PATH}/test", host.config())

    assert found == {"status": "ok", "version": None}


def test_what_can_go_wrong_is_told(server: Server, host: RemoteHost) -> None:
    missing = server.post(f"{PATH}/test", host.config(borg_remote_path="/no/such/borg"))
    assert "no /no/such/borg on 127.0.0.1" in missing["error"]

    host.stop()
    path = f"{PATH}/{server.post(PATH, host.config())['id']}"
    dead = server.post(f"{path}/test")
    assert dead["status"] == "error"
    assert "Connection refused" in dead["error"]
    assert dead["quota_changed"] is False


def test_rights(server: Server) -> None:
    path, token = f"{PATH}/{server.post(PATH, values())['id']}", server.mint("p", scope="provision")

    assert server.call("GET", path, token=token).status_code == 200
    for method, place in (("POST", PATH), ("POST", f"{PATH}/test"), ("PUT", path), ("DELETE", path)):
        assert server.call(method, place, {}, token=token).status_code == 403
    assert server.call("POST", f"{path}/test", {}, token=token).status_code == 403
