# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance of repositories over the API, done by real borg (admin-api.md §5.3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from . import backups
from .conftest import Server

TASKS = {
    "check": "repo_check",
    "compact": "compact",
    "repair": "repo_repair",
    "break_lock": "break_lock",
    "catalog_rebuild": "catalog_rebuild",
    "catalog_rebuild_full": "catalog_rebuild_full",
    "prune": "prune",
}


@pytest.fixture
def path(client: dict[str, Any], repository: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/repositories/{repository['id']}"


@pytest.mark.parametrize("action", TASKS)
def test_each_action_is_queued_and_done(server: Server, repository: dict[str, Any], path: str, action: str) -> None:
    backups.make_archive(server, repository, "plan1-a")

    reply = server.call("POST", f"{path}/maintenance", {"action": action})

    assert reply.status_code == 202
    job_id = reply.json["job_id"]
    assert reply.json == {"status": "queued", "job_id": job_id, "action": action, "task_type": TASKS[action]}
    server.work()
    job = backups.job(server, job_id)
    assert job["status"] == "completed", job["error_log"]
    assert job["logs"][0]["message"]
    assert backups.names(server, repository) == ["plan1-a"]


def test_check_has_its_own_address_and_keeps_borgs_words(server: Server, repository: dict[str, Any], path: str) -> None:
    backups.make_archive(server, repository, "plan1-a")

    reply = server.call("POST", f"{path}/check")
    server.work()

    assert (reply.status_code, reply.json["action"]) == (202, "check")
    assert "repository check" in backups.job(server, reply.json["job_id"])["logs"][0]["message"]


def test_check_finds_damage(server: Server, repository: dict[str, Any], path: str) -> None:
    backups.make_archive(server, repository, "plan1-a")
    segment = max(
        (backups.directory(server, repository) / "data" / "0").iterdir(), key=lambda file: file.stat().st_size
    )
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)

    job_id = server.post(f"{path}/check")["job_id"]
    server.work()

    job = backups.job(server, job_id)
    assert job["status"] == "failed"
    assert job["error_log"]


def test_the_action_may_stand_in_the_query(server: Server, path: str) -> None:
    assert server.call("POST", f"{path}/maintenance?action=compact").json["task_type"] == "compact"


def test_the_same_is_queued_once(server: Server, path: str) -> None:
    job_id = server.post(f"{path}/maintenance", {"action": "check"})["job_id"]

    again = server.call("POST", f"{path}/check")

    assert again.status_code == 409
    assert again.json["status"] == "already_queued"
    assert (again.json["job_id"], again.json["action"]) == (job_id, "check")
    assert again.json["message"] == again.json["error"]
    assert server.call("POST", f"{path}/maintenance", {"action": "compact"}).status_code == 202


def test_the_same_at_once_is_queued_once(server: Server, path: str) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}

    def ask(_: int) -> int:
        return server.app.test_client().post(f"/api/v1{path}/check", headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(ask, range(8)))

    assert answers == [202] + [409] * 7


@pytest.mark.parametrize("body", [{}, {"action": "format"}, {"action": ""}, {"action": "repo_check"}])
def test_an_unknown_action_is_refused_with_the_known_ones(server: Server, path: str, body: Any) -> None:
    reply = server.call("POST", f"{path}/maintenance", body)

    assert reply.status_code == 400
    assert reply.json["error"].startswith("action: must be one of")
    assert reply.json["valid_actions"] == list(TASKS)
    assert server.get("/queue")["count"] == 0


@pytest.mark.parametrize("value", [None, True, [], {"a": 1}, "a" * 33])
def test_a_wrong_type_is_refused(server: Server, path: str, value: Any) -> None:
    reply = server.call("POST", f"{path}/maintenance", {"action": value})

    assert reply.status_code == 400
    assert reply.json["error"].startswith("action: ")


def test_prune_follows_each_plan_and_touches_nothing_else(
    server: Server, client: dict[str, Any], repository: dict[str, Any], path: str
) -> None:
    def plan(name: str, **retention: int) -> int:
        none = dict.fromkeys(("prune_minutes", "prune_hours", "prune_days", "prune_weeks", "prune_months"), 0)
        body = {"name": name, "repository_id": repository["id"], "directories": "/etc", **none, **retention}
        return int(server.post(f"/clients/{client['id']}/plans", body)["id"])

    one, all_kept = plan("one", prune_days=1), plan("all")
    made = [f"plan{number}-{index}" for number in (one, all_kept) for index in range(2)]
    for name in [*made, "foreign"]:
        backups.make_archive(server, repository, name)

    job_id = server.post(f"{path}/maintenance", {"action": "prune"})["job_id"]
    server.work()

    left = sorted([f"plan{one}-1", f"plan{all_kept}-0", f"plan{all_kept}-1", "foreign"])
    assert backups.job(server, job_id)["status"] == "completed"
    assert sorted(backups.names(server, repository)) == left
    assert sorted(row["name"] for row in server.get(f"{path}/archives")["archives"]) == left


def test_an_unexpected_failure_does_not_block_the_repository(
    server: Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("bbs_server.borg.command.Borg.perform", fail)
    job_id = server.post(f"{path}/check")["job_id"]
    server.work()

    assert backups.job(server, job_id)["status"] == "failed"
    assert server.call("POST", f"{path}/check").status_code == 202


def test_rights_and_foreign_ids(server: Server, repository: dict[str, Any], path: str) -> None:
    reader, other = server.mint("reader", scope="read"), server.post("/clients", {"name": "other"})
    body = {"action": "check"}

    assert server.call("POST", f"{path}/maintenance", body, token=reader).status_code == 403
    assert server.call("POST", f"{path}/check", token=reader).status_code == 403
    foreign = f"/clients/{other['id']}/repositories/{repository['id']}"
    assert server.call("POST", f"{foreign}/maintenance", body).status_code == 404
    assert server.call("POST", f"{foreign}/check").status_code == 404
