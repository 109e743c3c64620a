# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's own jobs when borg says something unexpected."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.borg.command import Borg, Outcome

from . import backups
from .conftest import Server


@pytest.fixture
def path(client: dict[str, Any], repository: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/repositories/{repository['id']}"


@pytest.fixture
def plan(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> int:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc", "frequency": "manual"}
    return int(server.post(f"/clients/{client['id']}/plans", body)["id"])


def answering(monkeypatch: pytest.MonkeyPatch, command: str, **instead: Any) -> None:
    """Let one of borg's commands answer something else than it does."""
    perform = Borg.perform

    def other(self: Borg, arguments: Any, *rest: Any, **options: Any) -> Outcome:
        done = perform(self, arguments, *rest, **options)
        answer: dict[str, Any] = {"output": done.output, "log": done.log, "warnings": done.warnings, **instead}
        return Outcome(**answer) if arguments[0] == command else done

    monkeypatch.setattr(Borg, "perform", other)


def run(server: Server, path: str, action: str) -> Any:
    job_id = server.post(f"{path}/maintenance", {"action": action})["job_id"]
    server.work()
    return backups.job(server, job_id)


@pytest.mark.parametrize("action", ["prune", "check", "catalog_rebuild"])
@pytest.mark.parametrize("listing", ["", "[]", '{"archives": [{"title": "x"}]}', '{"archives": {}'])
def test_no_record_goes_because_borg_could_not_be_understood(
    server: Server, repository: dict[str, Any], path: str, plan: int, monkeypatch: pytest.MonkeyPatch,
    action: str, listing: str,
) -> None:  # fmt: skip
    recorded = [backups.record_archive(server, repository, f"plan{plan}-{index}") for index in range(3)]
    answering(monkeypatch, "list", output=listing)

    job = run(server, path, action)

    assert job["status"] == "failed"
    assert "could not be read; the records stay as they were" in job["error_log"]
    assert len(server.get(f"{path}/archives")["archives"]) == len(recorded)


def test_an_archive_that_borg_cannot_describe_fails_the_job(
    server: Server, repository: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups.create(backups.directory(server, repository), "made by hand")
    answering(monkeypatch, "info", output='{"archives": [{}]}')

    assert "What borg tells of the archive made by hand could not be read" in run(server, path, "check")["error_log"]
    assert server.get(f"{path}/archives")["archives"] == []


def test_borgs_warnings_mark_the_job(server: Server, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "compact", warnings=True, log="something odd")

    job = run(server, path, "compact")

    assert (job["status"], job["had_warnings"]) == ("completed", 1)
    assert "something odd" in job["logs"][0]["message"]


def test_a_repair_says_what_it_replaced(server: Server, repository: dict[str, Any], path: str) -> None:
    backups.make_archive(server, repository, "plan1-a")
    data = backups.directory(server, repository) / "data" / "0"
    segment = max(data.iterdir(), key=lambda file: file.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)
    assert run(server, path, "check")["status"] == "failed"

    repaired = run(server, path, "repair")

    assert (repaired["status"], repaired["had_warnings"]) == ("completed", 1), repaired["error_log"]
    assert run(server, path, "check")["status"] == "completed"


def test_a_prune_that_was_cut_off_is_named_when_archives_are_missing(
    server: Server, client: dict[str, Any], repository: dict[str, Any], path: str, plan: int
) -> None:
    """They were pruned, but the worker was killed before it could say so: no alarm, and the next run frees them."""
    gone = f"plan{plan}-gone"
    backups.record_archive(server, repository, gone)
    started = {"started_at": server.clock(), "completed_at": server.clock()}
    job = backups.add_job(
        server, client["id"], repository=repository["id"], task_type="prune", status="failed", **started
    )
    server.clock.forward(minutes=1)

    first, second = run(server, path, "prune"), run(server, path, "prune")

    assert (
        f"{gone} vanished. Job #{job} (prune), which was cut off, may have removed them" in first["logs"][0]["message"]
    )
    assert (first["had_warnings"], second["had_warnings"]) == (1, 0)
