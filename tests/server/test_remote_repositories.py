# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories on a third party's host: real borg over real ssh (admin-api.md §5.2, agent-protocol.md §6.4)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbs_server.borg.keys import generate
from bbs_server.models import RemoteSshConfig
from bbs_server.services import audit, remote_ssh_configs

from . import backups
from .conftest import Server
from .remote_host import RemoteHost, can_have_account, remote_host


@pytest.fixture(scope="module")
def host() -> Iterator[RemoteHost]:
    with remote_host() as running:
        yield running


@pytest.fixture
def place(host: RemoteHost, tmp_path: Path) -> Path:
    """Where the host keeps the repositories of one test."""
    return host.place(tmp_path.name)


@pytest.fixture
def config(server: Server, host: RemoteHost, place: Path) -> dict[str, Any]:
    created: dict[str, Any] = server.post("/remote-ssh-configs", host.config(remote_base_path=str(place)))
    return created


@pytest.fixture
def path(client: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/repositories"


def creation(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body that creates a repository there."""
    return {"name": "Off Site", "storage_type": "remote_ssh", "remote_ssh_config_id": config["id"], **changes}


def test_creation_makes_a_repository_there(
    server: Server, host: RemoteHost, config: dict[str, Any], path: str, place: Path
) -> None:
    reply = server.call("POST", path, creation(config))

    assert reply.status_code == 201
    assert reply.json == {
        "id": reply.json["id"],
        "name": "off-site",
        "path": f"ssh://{host.user}@127.0.0.1:{host.port}{place}/off-site",
        "encryption": "repokey-blake2",
        "storage_type": "remote_ssh",
        "remote_host": "127.0.0.1",
        "passphrase": reply.json["passphrase"],
    }
    assert (place / "off-site" / "config").stat().st_uid == host.uid
    found = backups.borg("info", "--json", str(place / "off-site"), passphrase=reply.json["passphrase"])
    assert '"repokey-blake2"' in found
    (shown,) = server.get(path)["repositories"]
    assert shown["storage_type"] == "remote_ssh"
    assert (shown["remote_ssh_config_id"], shown["remote_ssh_config_name"]) == (config["id"], "offsite")
    assert (shown["storage_location_id"], shown["storage_location_name"]) == (None, None)
    assert server.get(f"/remote-ssh-configs/{config['id']}")["repository_count"] == 1
    assert list(server.run.settings.run_directory.iterdir()) == []


@pytest.mark.skipif(not can_have_account(), reason="an account of its own takes root")
def test_the_account_there_is_not_the_servers(
    server: Server, host: RemoteHost, config: dict[str, Any], path: str, place: Path
) -> None:
    """What belongs to somebody else there is out of reach, and that is told."""
    assert host.uid != os.geteuid()
    place.chmod(0o755)
    os.chown(place, 0, 0)

    reply = server.call("POST", path, creation(config))

    assert (reply.status_code, "Permission denied" in reply.json["error"]) == (500, True), reply.json
    assert server.get(path) == {"repositories": []}


def test_secrets_are_not_in_arguments_of_processes(
    server: Server, host: RemoteHost, config: dict[str, Any], path: str
) -> None:
    secret, key, seen, stop = "open sesame 4711", host.key.private.splitlines()[2], set(), threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes())
                except OSError:
                    continue
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        server.post(path, creation(config, passphrase=secret))
    finally:
        stop.set()
        watcher.join()
    assert any(b"init" in line and b"borg" in line for line in seen)
    assert any(b"BatchMode=yes" in line for line in seen)
    assert not any(secret.encode() in line or key.encode() in line for line in seen)


def test_the_name_may_be_left_out_of_the_path(server: Server, host: RemoteHost, path: str, place: Path) -> None:
    body = host.config(remote_base_path=str(place / "only"), append_repo_name=False)
    config = server.post("/remote-ssh-configs", body)

    created = server.post(path, creation(config, encryption="none"))

    assert created["path"].endswith(f"{place}/only")
    assert "passphrase" not in created
    assert (place / "only" / "config").is_file()
    assert server.call("POST", path, creation(config, name="other")).status_code == 409


@pytest.mark.parametrize(
    ("columns", "url"),
    [
        ({}, "ssh://me@remote.example/./main"),
        ({"remote_port": 2222}, "ssh://me@remote.example:2222/./main"),
        ({"remote_base_path": "/srv/borg/"}, "ssh://me@remote.example/srv/borg/main"),
        ({"remote_base_path": "backups"}, "ssh://me@remote.example/./backups/main"),
        ({"remote_base_path": "./a/b"}, "ssh://me@remote.example/./a/b/main"),
        ({"remote_base_path": "~/a"}, "ssh://me@remote.example/~/a/main"),
        ({"remote_host": "2001:db8::1"}, "ssh://me@[2001:db8::1]/./main"),
        ({"remote_base_path": "./repo", "append_repo_name": False}, "ssh://me@remote.example/./repo"),
    ],
)
def test_paths(columns: dict[str, Any], url: str) -> None:
    given = {"remote_host": "remote.example", "remote_user": "me", "remote_base_path": "./", **columns}

    assert remote_ssh_configs.repository_url(RemoteSshConfig(**given), "main") == url


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"remote_ssh_config_id": None}, 400, "remote_ssh_config_id: is required"),
        ({"remote_ssh_config_id": 999}, 404, "Remote SSH config not found"),
        ({"remote_ssh_config_id": "abc"}, 400, "remote_ssh_config_id: must be a whole number"),
        ({"encryption": "rot13"}, 400, "encryption: must be one of"),
        ({"name": ""}, 400, "name: is required"),
        ({"storage_type": "tape"}, 400, "storage_type: must be local or remote_ssh"),
    ],
)
def test_a_bad_request_is_refused(
    server: Server, config: dict[str, Any], path: str, changes: dict[str, Any], status: int, told: str
) -> None:
    reply = server.call("POST", path, creation(config, **changes))

    assert reply.status_code == status
    assert told in reply.json["error"]
    assert server.get(path) == {"repositories": []}


def test_an_unreachable_host_leaves_nothing_and_says_why(server: Server, host: RemoteHost, path: str) -> None:
    config = server.post("/remote-ssh-configs", host.config(remote_port=2))

    reply = server.call("POST", path, creation(config))

    assert reply.status_code == 500
    assert "Connection refused" in reply.json["error"]
    assert "\n" not in reply.json["error"]
    assert server.get(path) == {"repositories": []}


def test_another_host_at_the_same_address_is_refused(
    server: Server, host: RemoteHost, config: dict[str, Any], path: str, place: Path
) -> None:
    created = server.post(path, creation(config))
    known = server.run.settings.ssh_directory / "known_hosts" / str(config["id"])
    assert known.read_text().startswith(f"[127.0.0.1]:{host.port} ssh-ed25519 ")
    known.write_text(f"[127.0.0.1]:{host.port} {generate().public}\n")

    reply = server.call("POST", path, creation(config, name="other"))
    assert reply.status_code == 500
    assert "host key of 127.0.0.1 has changed" in reply.json["error"]
    job_id = server.post(f"{path}/{created['id']}/check")["job_id"]
    server.work()

    assert "host key of 127.0.0.1 has changed" in backups.job(server, job_id)["error_log"]
    assert [file.name for file in place.iterdir()] == ["off-site"]


def test_a_failure_after_init_takes_the_repository_back(
    server: Server, config: dict[str, Any], path: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(audit, "record", fail)
        assert server.call("POST", path, creation(config)).status_code == 500

    assert server.get(path) == {"repositories": []}
    assert list(place.iterdir()) == []
    assert server.call("POST", path, creation(config)).status_code == 201


def test_a_dry_run_touches_nothing_there_even_when_it_fails(
    server: Server, config: dict[str, Any], path: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.call("POST", f"{path}?dry_run=1", creation(config, encryption="none")).status_code == 200
    assert list(place.iterdir()) == []
    created = server.post(path, creation(config, encryption="none"))
    server.call("DELETE", f"{path}/{created['id']}")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)
    assert server.call("POST", f"{path}?dry_run=1", creation(config, encryption="none")).status_code == 500
    assert (place / "off-site" / "config").is_file()


def test_data_stays_there_and_is_not_taken_over(server: Server, config: dict[str, Any], path: str, place: Path) -> None:
    created = server.post(path, creation(config))
    assert server.call("POST", path, creation(config)).status_code == 409
    assert server.call("PUT", f"{path}/{created['id']}", {"name": "new"}).status_code == 400
    refused = server.call("DELETE", f"/remote-ssh-configs/{config['id']}")
    assert (refused.status_code, refused.json["repositories"]) == (409, ["off-site"])
    moved = server.call("PUT", f"/remote-ssh-configs/{config['id']}", {"remote_base_path": "/elsewhere"})
    assert moved.status_code == 409

    assert server.call("DELETE", f"{path}/{created['id']}").status_code == 200

    assert (place / "off-site" / "config").is_file()
    again = server.call("POST", path, creation(config))
    assert again.status_code == 500
    assert "already exists" in again.json["error"]
    assert (place / "off-site" / "config").is_file()


def test_maintenance_goes_over_ssh(
    server: Server, host: RemoteHost, config: dict[str, Any], path: str, place: Path
) -> None:
    created = server.post(path, creation(config, passphrase="open sesame"))
    where = place / "off-site"
    made = [f"plan1-{index}" for index in range(2)]
    for name in made:
        backups.create(where, name, "open sesame")
    host.give(where)
    ids = [backups.record_archive(server, created, name) for name in made]

    jobs = [server.post(f"{path}/{created['id']}/maintenance", {"action": a})["job_id"] for a in ("check", "compact")]
    jobs.append(server.call("DELETE", f"{path}/{created['id']}/archives/{ids[0]}").json["job_id"])
    server.work()

    for job_id in jobs:
        job = backups.job(server, job_id)
        assert job["status"] == "completed", job["error_log"]
    assert backups.borg("list", "--short", str(where), passphrase="open sesame").split() == ["plan1-1"]
    assert [row["id"] for row in server.get(f"{path}/{created['id']}/archives")["archives"]] == ids[1:]


def test_agents_get_the_key_and_the_port_with_the_task(
    server: Server, client: dict[str, Any], host: RemoteHost, path: str, place: Path
) -> None:
    body = host.config(remote_base_path=str(place), borg_remote_path="/usr/bin/borg")
    config = server.post("/remote-ssh-configs", body)
    created = server.post(path, creation(config))
    plan = {"name": "p", "repository_id": created["id"], "directories": "/etc"}
    plan_id = server.post(f"/clients/{client['id']}/plans", plan)["id"]
    server.post(f"/clients/{client['id']}/plans/{plan_id}/trigger")

    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]

    assert task["remote_ssh_key"] == host.key.private
    assert task["command"][:3] == ["borg", "create", "--remote-path=/usr/bin/borg"]
    assert f"{created['path']}::{task['archive_name']}" in task["command"]
    assert f"-i /tmp/bbs-remote-ssh-key -p {host.port} " in task["env"]["BORG_RSH"]
    assert task["env"]["BORG_PASSPHRASE"] == created["passphrase"]
    assert host.key.private not in str({name: value for name, value in task.items() if name != "remote_ssh_key"})
