# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that is asked of one agent (admin-api.md §5.6, §6)."""

from __future__ import annotations

import hashlib
import json
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
    assert task == {"task": "update_agent", "job_id": task["job_id"], "attempt": 1}


def test_the_agents_download_has_the_digest_that_is_told(server: Server) -> None:
    told = server.http.get("/api/agent/download?file=bbs-agent.pyz.sha256").text.split()[0]

    assert hashlib.sha256(server.http.get("/api/agent/download?file=bbs-agent.pyz").data).hexdigest() == told


def test_a_cancelled_update_is_not_told(server: Server, client: dict[str, Any]) -> None:
    server.post(f"/clients/{client['id']}/upgrade-agent")
    (queued,) = server.get("/queue")["queue"]

    server.post(f"/queue/{queued['id']}/cancel")

    assert server.agent("GET", "/tasks", client["api_key"]).json["tasks"] == []


def test_an_update_of_borg_says_where_it_comes_from(server: Server, client: dict[str, Any]) -> None:
    path = f"/clients/{client['id']}/upgrade-borg"
    queued = server.call("POST", path, {"target_version": "1.2.8"})
    assert (queued.status_code, queued.json["task_type"]) == (202, "update_borg")
    assert server.call("POST", path, {"target_version": "1.2.8"}).status_code == 409

    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert task == {
        "attempt": 1,
        "task": "update_borg", "job_id": queued.json["job_id"], "target_version": "1.2.8", "download_url": None,
        "install_method": "pip", "binary_path": "/usr/local/bin/borg", "fallback_to_pip": True, "source": "official",
    }  # fmt: skip
    report = {"job_id": task["job_id"], "result": "failed", "error_log": "no pip"}
    server.agent("POST", "/status", client["api_key"], report)
    server.post(path, {"target_version": "1.4.0", "download_url": "https://example.org/borg-linux"})
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert (task["install_method"], task["download_url"]) == ("binary", "https://example.org/borg-linux")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "target_version: is required."),
        ({"target_version": "2.0"}, "target_version: must be a version of borg 1"),
        ({"target_version": "1.2.8; id"}, "target_version: must be a version of borg 1"),
        ({"target_version": "1.2.8", "download_url": "http://x/borg"}, "download_url: must be an https URL."),
        ({"target_version": "1.2.8", "download_url": "https://x/b\nx"}, "download_url: must be an https URL."),
    ],
)
def test_a_bad_update_of_borg_is_refused(server: Server, client: dict[str, Any], body: Any, told: str) -> None:
    reply = server.call("POST", f"/clients/{client['id']}/upgrade-borg", body)

    assert (reply.status_code, told in reply.json["error"]) == (400, True)


def test_a_directory_is_listed(server: Server, client: dict[str, Any]) -> None:
    path = f"/clients/{client['id']}/list-dir"
    queued = server.call("POST", path, {"path": "/etc", "depth": 2, "show_hidden": True})
    assert (queued.status_code, queued.json["task_type"]) == (202, "list_dir")

    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert task == {
        "attempt": 1,
        "task": "list_dir", "job_id": queued.json["job_id"], "path": "/etc", "depth": 2, "show_hidden": True,
        "show_all": False, "follow_symlinks": False, "max_entries": 5000,
    }  # fmt: skip
    tree = json.dumps({"path": "/etc", "entries": [{"name": "x" * 100} for _ in range(20_000)], "truncated": False})
    report = {"job_id": task["job_id"], "result": "completed", "output_log": tree}
    assert server.agent("POST", "/status", client["api_key"], report).status_code == 200
    job = backups.job(server, task["job_id"])
    assert (job["status"], job["task_result"], job["logs"]) == ("completed", tree, [])
    again = server.post(path)
    assert server.agent("GET", "/tasks", client["api_key"]).json["tasks"][0]["path"] == "/", again
    for body, told in (({"path": "etc"}, "path: must be"), ({"depth": 6}, "depth: must be"), ({"path": []}, "path: ")):
        refused = server.call("POST", path, body)
        assert (refused.status_code, told in refused.json["error"]) == (400, True)


def test_a_deferred_hook_runs_when_the_repository_is_at_rest(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    path = f"/clients/{client['id']}"

    def hook(name: str, timing: str) -> int:
        config = {"post_script": "/bin/true", "post_script_timing": timing}
        body = {"plugin": "shell_hook", "name": name, "config": config}
        return int(server.post(f"{path}/plugin-configs", body)["id"])

    deferred, at_once = hook("later", "repo_jobs"), hook("now", "backup")
    s3 = server.post(f"{path}/plugin-configs", {"plugin": "s3_sync", "name": "offsite", "config": {}})["id"]
    plugins = [{"plugin_config_id": config} for config in (deferred, at_once, s3)]
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "plugins": plugins}
    plan = server.post(f"{path}/plans", body)["id"]
    job = server.post(f"{path}/plans/{plan}/trigger")["job_id"]
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert [plugin["config_id"] for plugin in task["plugins"]] == [deferred, at_once]
    server.work()
    assert [row["task_type"] for row in server.get("/queue")["queue"]] == ["backup"]
    server.agent("POST", "/status", client["api_key"], {"job_id": job, "result": "completed"})
    assert [row["task_type"] for row in server.get("/queue")["queue"]] == ["prune"]
    server.work()
    server.work()

    (post,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    assert (post["task"], post["plugin"]["slug"]) == ("plugin_post", "shell_hook")
    server.agent("POST", "/status", client["api_key"], {"job_id": post["job_id"], "result": "completed"})
    server.work()
    assert server.get("/queue")["count"] == 0


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
