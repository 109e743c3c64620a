# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives over the API, deleted and locked by real borg (admin-api.md §5.3)."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.borg.command import Borg, Outcome
from bbs_server.services import audit

from . import backups
from .conftest import Server


@pytest.fixture
def path(client: dict[str, Any], repository: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/repositories/{repository['id']}/archives"


def test_list_is_newest_first_with_the_recorded_fields(server: Server, repository: dict[str, Any], path: str) -> None:
    assert server.get(path) == {"archives": []}
    sizes = {"file_count": 1000, "original_size": 1048576, "deduplicated_size": 524288}
    old = backups.record_archive(server, repository, "plan1-a", **sizes)
    server.clock.forward(hours=1)
    new = backups.record_archive(server, repository, "locked.plan1-b", databases='{"version": 2}')

    listed = server.get(path)["archives"]

    assert [row["id"] for row in listed] == [new, old]
    assert listed[1] == {
        "id": old,
        "name": "plan1-a",
        **sizes,
        "locked": False,
        "has_databases": False,
        "created_at": "2026-11-23 12:00:00",
    }
    assert listed[0]["locked"] is True
    assert listed[0]["has_databases"] is True


def test_deletion_removes_the_archive_from_borg_and_from_the_records(
    server: Server, repository: dict[str, Any], path: str
) -> None:
    keep, lose = (backups.make_archive(server, repository, name) for name in ("plan1-keep", "plan1-lose"))

    reply = server.call("DELETE", f"{path}/{lose}")
    assert reply.status_code == 202
    assert reply.json["status"] == "queued"
    server.work()

    job = backups.job(server, reply.json["job_id"])
    assert (job["task_type"], job["status"]) == ("archive_delete", "completed")
    assert "plan1-lose" in job["logs"][0]["message"]
    assert [row["id"] for row in server.get(path)["archives"]] == [keep]
    assert backups.names(server, repository) == ["plan1-keep"]


def test_one_deletion_at_a_time(server: Server, repository: dict[str, Any], path: str) -> None:
    first, second = (backups.make_archive(server, repository, name) for name in ("plan1-a", "plan1-b"))
    queued = server.call("DELETE", f"{path}/{first}").json

    refused = server.call("DELETE", f"{path}/{second}")

    assert refused.status_code == 409
    assert refused.json["status"] == "already_queued"
    assert refused.json["job_id"] == queued["job_id"]
    assert refused.json["message"] == refused.json["error"]


def test_a_record_stays_when_borg_fails(
    server: Server, repository: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = backups.make_archive(server, repository, "plan1-a")
    folder = backups.directory(server, repository)
    (folder / "config").rename(folder / "elsewhere")
    job_id = server.call("DELETE", f"{path}/{archive}").json["job_id"]
    server.work()

    job = backups.job(server, job_id)
    assert job["status"] == "failed"
    assert "not a valid repository" in job["error_log"]
    assert len(server.get(path)["archives"]) == 1

    (folder / "elsewhere").rename(folder / "config")
    again = server.post(f"/queue/{job_id}/retry")
    server.work()
    assert backups.job(server, again["job_id"])["status"] == "completed"
    assert server.get(path)["archives"] == []


@pytest.mark.parametrize(
    "listing", ["", "not json", "[]", '{"archives": null}', '{"archives": [{}]}', '{"archives": 1}']
)
def test_nothing_is_concluded_from_a_list_that_cannot_be_read(
    server: Server, repository: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    archive = backups.make_archive(server, repository, "plan1-a")
    perform = Borg.perform

    def garbled(self: Borg, arguments: Any, *rest: Any, **options: Any) -> Outcome:
        if arguments[0] == "list":
            return Outcome(listing, "", warnings=False)
        return perform(self, arguments, *rest, **options)

    monkeypatch.setattr(Borg, "perform", garbled)
    job_id = server.call("DELETE", f"{path}/{archive}").json["job_id"]
    server.work()

    job = backups.job(server, job_id)
    assert job["status"] == "failed"
    assert "could not be read" in job["error_log"]
    assert [row["id"] for row in server.get(path)["archives"]] == [archive]


def test_a_locked_archive_survives_until_it_is_unlocked(
    server: Server, client: dict[str, Any], repository: dict[str, Any], path: str
) -> None:
    archive = backups.make_archive(server, repository, "plan1-a")

    queued = server.call("POST", f"{path}/{archive}/lock", {"locked": True})
    assert queued.status_code == 202
    assert queued.json["result"] == "queued"
    assert queued.json["name"] == "locked.plan1-a"
    server.work()

    assert backups.names(server, repository) == ["locked.plan1-a"]
    assert server.get(path)["archives"][0]["locked"] is True
    again = server.call("POST", f"{path}/{archive}/lock", {"locked": True})
    assert (again.status_code, again.json["result"]) == (200, "already")
    refused = server.call("DELETE", f"{path}/{archive}")
    assert (refused.status_code, refused.json["reason"]) == (409, "locked")
    refused = server.call("DELETE", path.removesuffix("/archives"))
    assert (refused.status_code, refused.json["locked_archives"]) == (409, 1)
    refused = server.call("DELETE", f"/clients/{client['id']}?force=1")
    assert (refused.status_code, refused.json["reason"]) == (409, "locked_archives")

    server.post(f"{path}/{archive}/lock", {"locked": False})
    server.work()
    assert backups.names(server, repository) == ["plan1-a"]


@pytest.mark.parametrize("body", [{}, {"locked": None}, {"locked": "maybe"}, {"locked": []}, []])
def test_a_bad_lock_is_refused(server: Server, repository: dict[str, Any], path: str, body: Any) -> None:
    archive = backups.record_archive(server, repository, "plan1-a")

    reply = server.call("POST", f"{path}/{archive}/lock", body)

    assert reply.status_code == 400
    assert reply.json["error"].startswith(("locked: ", "body: "))


def test_foreign_ids_are_not_found(server: Server, repository: dict[str, Any], path: str) -> None:
    archive = backups.record_archive(server, repository, "plan1-a")
    other = server.post("/clients", {"name": "other"})
    foreign = server.post(f"/clients/{other['id']}/repositories", {"name": "theirs", "encryption": "none"})
    theirs = f"/clients/{other['id']}/repositories/{foreign['id']}/archives"

    assert server.call("DELETE", f"{path}/99999").status_code == 404
    assert server.call("DELETE", f"{theirs}/{archive}").status_code == 404
    assert server.call("POST", f"{theirs}/{archive}/lock", {"locked": True}).status_code == 404
    assert server.call("GET", f"/clients/{other['id']}/repositories/{repository['id']}/archives").status_code == 404
    assert len(server.get(path)["archives"]) == 1


def test_a_failure_between_the_writes_queues_nothing(
    server: Server, repository: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = backups.record_archive(server, repository, "plan1-a")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)

    assert server.call("DELETE", f"{path}/{archive}").status_code == 500
    assert server.get("/queue")["count"] == 0


def test_readers_cannot_delete(server: Server, repository: dict[str, Any], path: str) -> None:
    archive = backups.record_archive(server, repository, "plan1-a")
    reader = server.mint("reader", scope="read")

    assert server.get(path, token=reader)["archives"][0]["id"] == archive
    assert server.call("DELETE", f"{path}/{archive}", token=reader).status_code == 403
    assert server.call("POST", f"{path}/{archive}/lock", {"locked": True}, token=reader).status_code == 403
