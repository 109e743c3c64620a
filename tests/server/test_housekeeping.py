# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is old is forgotten, in small steps."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bbs_server.models import AuditEntry, Job, JobLog
from bbs_server.scheduling import housekeeping

from .conftest import Server, make_server
from .test_query_counts import counting


def ended(server: Server, client: dict[str, Any], days: int, count: int = 1, **columns: Any) -> None:
    """Jobs that ended some days ago, with a line in the log of each."""
    then = server.clock() - timedelta(days=days)
    row = {"task_type": "backup", "status": "completed", "queued_at": then, "completed_at": then, **columns}
    with server.run.database.connection_context():
        for _ in range(count):
            job = Job.create(client=client["id"], **row)
            JobLog.create(job=job, at=then, level="info", message="m")


def forget(server: Server) -> int:
    with server.run.database.connection_context():
        return housekeeping.forget(server.run)


def left(server: Server) -> tuple[int, int]:
    with server.run.database.connection_context():
        return Job.select().count(), JobLog.select().count()


def test_old_jobs_go_with_their_logs(server: Server, client: dict[str, Any]) -> None:
    ended(server, client, days=31, count=3)
    ended(server, client, days=29, count=2)
    ended(server, client, days=31, status="queued", completed_at=None)

    assert forget(server) == 3
    assert left(server) == (3, 3)


def test_the_latest_backup_of_a_plan_stays(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    body = {"name": "yearly", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)["id"]
    ended(server, client, days=300, plan=plan, status="failed")
    ended(server, client, days=200, plan=plan)

    assert forget(server) == 1
    assert server.get("/schedules")["schedules"][0]["last_status"] == "completed"


def test_a_deletion_stays_until_its_compaction(tmp_path: Path) -> None:
    with make_server(tmp_path, job_retention_days=1) as server:
        client = server.post("/clients", {"name": "web01"})
        ended(server, client, days=5, task_type="archive_delete")
        ended(server, client, days=5, task_type="prune")
        assert forget(server) == 1


def test_no_transaction_is_long(server: Server, client: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 10)
    ended(server, client, days=40, count=25)
    with counting(server) as seen:
        assert forget(server) == 25
    assert sum(sql.startswith("DELETE") for sql in seen) == 3

    monkeypatch.setattr(housekeeping, "MOST_BATCHES", 2)
    ended(server, client, days=40, count=25)
    assert (forget(server), forget(server), forget(server)) == (20, 5, 0)


def test_the_audit_log_is_kept_longer(server: Server) -> None:
    def entries(text: str) -> int:
        with server.run.database.connection_context():
            return AuditEntry.select().where(AuditEntry.message == text).count()

    with server.run.database.connection_context():
        for days, text in ((364, "young"), (366, "old")):
            at = server.clock() - timedelta(days=days)
            AuditEntry.create(at=at, level="info", actor="a", action="x", message=text)
    server.work()
    assert (entries("young"), entries("old")) == (1, 0)


def test_zero_keeps_everything(tmp_path: Path) -> None:
    with make_server(tmp_path, job_retention_days=0, log_retention_days=0) as server:
        client = server.post("/clients", {"name": "web01"})
        ended(server, client, days=4000)
        assert forget(server) == 0
        assert left(server) == (1, 1)
