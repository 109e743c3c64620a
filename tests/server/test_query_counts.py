# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No reading asks the database more often because there is more to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bbs_server.models import (
    Archive,
    AuditEntry,
    Client,
    Job,
    JobLog,
    Plan,
    PlanPlugin,
    PluginConfig,
    RemoteSshConfig,
    Repository,
    S3Link,
    StorageLocation,
    Token,
    User,
)
from bbs_server.services import plans

from .conftest import Server, make_server

FEW, MANY = 3, 30

NEEDED = {"/clients/1/catalog/search": "?q=etc"}
"""What a reading asks for, where it cannot be made without."""


def fill(server: Server, numbers: range) -> None:
    """One more row of everything for each number; the first client has one of each."""
    now = server.clock()
    run = server.run
    with run.database.connection_context(), run.database.atomic():
        for n in numbers:
            user = User.create(username=f"u{n}", email=f"u{n}@x", role="user", created_at=now)
            Token.create(name=f"t{n}", token_hash=f"{n:064}", user=user, scope="read", created_at=now)
            StorageLocation.create(label=f"l{n}", path=str(run.settings.storage / f"l{n}"), created_at=now)
            remote = {"name": f"r{n}", "remote_host": "h", "remote_user": "u", "created_at": now}
            config = RemoteSshConfig.create(**remote)
            known = {"key_hash": f"{n:064}", "ssh_public_key": "k", "owner": user, "last_heartbeat": now}
            own = Client.create(name=f"c{n}", created_at=now, **known)
            first = Client.select().order_by(Client.id).first()
            for client in {first.id: first, own.id: own}.values():
                _fill_client(server, client, n, config)


def _fill_client(server: Server, client: Client, n: int, remote: RemoteSshConfig) -> None:
    now = server.clock()
    options = {"encryption": "none", "storage_type": "remote_ssh", "remote_ssh_config": remote}
    repository = Repository.create(client=client, name=f"r{n}", path=f"p{n}", created_at=now, **options)
    columns = {"repository": repository, "frequency": "daily", "timezone": "UTC", "next_run": now, "created_at": now}
    retention = dict.fromkeys(plans.RETENTION, 0)
    plan = Plan.create(client=client, name=f"p{n}", directories="/etc", **columns, **retention)
    config = PluginConfig.create(client=client, plugin="s3_sync", name=f"c{n}", config="{}", created_at=now)
    PlanPlugin.create(plan=plan, plugin_config=config, position=0)
    S3Link.create(repository=repository, plugin_config=config, enabled=True)
    every = {"client": client, "plan": plan, "repository": repository, "task_type": "backup", "queued_at": now}
    for status in ("queued", "completed", "failed"):
        job = Job.create(status=status, completed_at=None if status == "queued" else now, **every)
    JobLog.create(job=job, at=now, level="info", message="m")
    first = Repository.select().where(Repository.client == client).order_by(Repository.id).first()
    Archive.create(repository=first, name=f"a{n}", plan=plan, job=job, created_at=now)
    AuditEntry.create(at=now, level="info", actor="a", action="x", client=client, message="m")


@contextmanager
def counting(server: Server) -> Iterator[list[str]]:
    """The statements executed meanwhile."""
    database: Any = server.run.database
    execute, seen = database.execute_sql, []

    def noting(sql: str, *rest: Any, **options: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest, **options)

    database.execute_sql = noting
    try:
        yield seen
    finally:
        del database.execute_sql


def readings(server: Server) -> list[str]:
    """Every GET of the API, about the first object of each kind."""
    rules = (rule for rule in server.app.url_map.iter_rules() if "GET" in rule.methods)
    paths = {re.sub(r"<[^>]+>", "1", rule.rule) for rule in rules if rule.rule.startswith("/api/v1/")}
    known = [path.removeprefix("/api/v1") for path in paths]
    return [
        *(path + NEEDED.get(path, "") for path in sorted(known)),
        "/metrics?format=prometheus",
        "/repositories?include_secrets=1",
        "/clients/1/jobs?limit=200",
    ]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """The statements of each reading, with few rows and with many."""
    found: dict[str, list[list[str]]] = {}
    with make_server(tmp_path_factory.mktemp("counts")) as server:
        token = server.mint("reader", can_read_secrets=True)
        server.get("/clients", token=token)
        for numbers in (range(FEW), range(FEW, MANY)):
            fill(server, numbers)
            for path in readings(server):
                with counting(server) as seen:
                    reply = server.call("GET", path, token=token)
                assert reply.status_code in (200, 503), (path, reply.text)
                found.setdefault(path, []).append(seen)
    return found


def test_every_reading_was_made(counts: dict[str, list[list[str]]]) -> None:
    assert len(counts) >= 30
    assert {"/clients", "/clients/1/plans", "/schedules", "/repositories", "/remote-ssh-configs"} <= set(counts)
    assert all(len(statements) == 2 for statements in counts.values())
    assert len(counts["/clients"][0]) >= 2  # the token and the rows: counting works


def test_no_count_grows_with_the_rows(counts: dict[str, list[list[str]]]) -> None:
    grown = {path: [len(few), len(many)] for path, (few, many) in counts.items() if len(many) > len(few)}

    assert grown == {}


def test_no_reading_asks_often(counts: dict[str, list[list[str]]]) -> None:
    most = {path: len(many) for path, (_, many) in counts.items() if len(many) > 20}

    assert most == {}
