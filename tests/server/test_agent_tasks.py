# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that is asked of one agent (admin-api.md §5.6, §6)."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.services import audit

from . import backups
from .conftest import Server


@pytest.fixture
def archive(server: Server, repository: dict[str, Any]) -> int:
    return backups.record_archive(server, repository, "plan1-2026-11-23_10-00-00")


def test_a_restore_reaches_the_agent(
    server: Server, client: dict[str, Any], repository: dict[str, Any], archive: int
) -> None:
    body = {"archive_id": archive, "paths": ["/etc/hosts", "home"], "destination": "/tmp/restore"}

    queued = server.call("POST", f"/clients/{client['id']}/restore", body)

    assert queued.status_code == 200
    assert queued.json == {"status": "ok", "job_id": queued.json["job_id"]}
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert task["command"][:2] == ["borg", "extract"]
    assert task["command"][-3:] == [f"{repository['path']}::plan1-2026-11-23_10-00-00", "etc/hosts", "home"]
    assert (task["job_id"], task["cwd"]) == (queued.json["job_id"], "/tmp/restore")
    job = backups.job(server, queued.json["job_id"])
    assert job["restore_paths"] == '["/etc/hosts", "home"]'
    assert job["repository_name"] == "main"


def test_everything_is_restored_when_nothing_is_named(server: Server, client: dict[str, Any], archive: int) -> None:
    for body in ({}, {"paths": [], "destination": ""}, {"paths": None, "destination": None}):
        job = server.post(f"/clients/{client['id']}/restore", {"archive_id": archive, **body})
        assert backups.job(server, job["job_id"])["restore_paths"] == "[]"
    tasks = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert len(tasks) == 1  # one at a time on a repository
    assert "cwd" not in tasks[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"archive_id": None}, "archive_id: must not be null."),
        ({"archive_id": "x"}, "archive_id: must be a whole number"),
        ({"archive_id": 0}, "archive_id: must be a whole number"),
        ({"archive_id": 2**70}, "archive_id: must be a whole number"),
        ({"paths": "/etc"}, "paths: must be a list of paths."),
        ({"paths": [1.5, {}]}, "paths.1: must be text."),
        ({"paths": [""]}, "paths: each must name something"),
        ({"paths": ["/"]}, "paths: each must name something"),
        ({"paths": ["--remote-path=x"]}, "paths: each must name something"),
        ({"paths": ["//-x"]}, "paths: each must name something"),
        ({"paths": ["p" * 5000]}, "paths.0: must have at most 4096"),
        ({"destination": "relative"}, "destination: must be an absolute path."),
        ({"destination": "-x"}, "destination: must be an absolute path."),
        ({"destination": ["/tmp"]}, "destination: must be text."),
    ],
)
def test_a_bad_restore_is_refused(
    server: Server, client: dict[str, Any], archive: int, changes: dict[str, Any], told: str
) -> None:
    reply = server.call("POST", f"/clients/{client['id']}/restore", {"archive_id": archive, **changes})

    assert reply.status_code == 400
    assert told in reply.json["error"]
    assert server.get("/queue")["count"] == 0


def test_only_from_an_archive_of_this_client(server: Server, client: dict[str, Any], archive: int) -> None:
    other = server.post("/clients", {"name": "other"})

    assert server.call("POST", f"/clients/{other['id']}/restore", {"archive_id": archive}).status_code == 404
    assert server.call("POST", f"/clients/{client['id']}/restore", {"archive_id": 99999}).status_code == 404
    assert server.call("POST", "/clients/999/restore", {"archive_id": archive}).status_code == 404
    assert server.call("POST", f"/clients/{client['id']}/restore", {}).status_code == 400


def test_an_update_is_queued_once(server: Server, client: dict[str, Any]) -> None:
    path = f"/clients/{client['id']}/upgrade-agent"
    assert server.post(path) == {"status": "ok", "queued": 1, "already_pending": False}
    assert server.post(path) == {"status": "ok", "queued": 0, "already_pending": True}

    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert task == {"task": "update_agent", "job_id": task["job_id"]}


def test_a_plugin_is_tested_by_the_agent(server: Server, client: dict[str, Any]) -> None:
    path = f"/clients/{client['id']}/plugin-configs"
    config = server.post(path, {"plugin": "mysql_dump", "name": "db", "config": {"password": "secret123"}})

    queued = server.call("POST", f"{path}/{config['id']}/test", {})

    assert queued.status_code == 202
    assert queued.json == {"status": "queued", "job_id": queued.json["job_id"]}
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert (task["task"], task["plugin"]["slug"]) == ("plugin_test", "mysql_dump")
    assert task["plugin"]["config"]["password"] == "secret123"
    assert server.call("POST", f"{path}/99999/test").status_code == 404


def test_a_failure_between_the_writes_queues_nothing(
    server: Server, client: dict[str, Any], archive: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)

    assert server.call("POST", f"/clients/{client['id']}/restore", {"archive_id": archive}).status_code == 500
    assert server.call("POST", f"/clients/{client['id']}/upgrade-agent").status_code == 500
    assert server.get("/queue")["count"] == 0


def test_readers_ask_for_nothing(server: Server, client: dict[str, Any], archive: int) -> None:
    token, path = server.mint("reader", scope="read"), f"/clients/{client['id']}"

    assert server.call("POST", f"{path}/restore", {"archive_id": archive}, token=token).status_code == 403
    assert server.call("POST", f"{path}/upgrade-agent", token=token).status_code == 403
