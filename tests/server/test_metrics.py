# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers for monitoring (admin-api.md §6)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from . import backups
from .conftest import Server

OPEN = ("/metrics", "/auth/discover", "/openapi.json", "/docs")
"""What a token for metrics opens, and what needs no token."""

SCRAPER = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


def test_json_is_the_recorded_form(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    found = server.get("/metrics")

    assert found == {
        "generated_at": "2026-11-23T12:00:00+00:00",
        "clients": {"total": 1, "online": 0, "offline": 0, "error": 0, "setup": 1},
        "queue": {"queued": 0, "sent": 0, "running": 0},
        "backup_jobs_total": [],
        "plans": [],
        "repositories": [
            {
                "id": repository["id"],
                "client_id": client["id"],
                "name": "main",
                "storage_type": "local",
                "size_bytes": 0,
            }
        ],
    }


def test_prometheus_reads_every_line(server: Server) -> None:
    client = server.post("/clients", {"name": 'say "hi" \\ bye'})
    repository = server.post(f"/clients/{client['id']}/repositories", {"name": "main", "encryption": "none"})
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    backups.add_job(server, client["id"], plan=plan["id"], completed_at=server.clock())
    backups.add_job(server, client["id"], plan=plan["id"], status="failed", completed_at=server.clock())
    server.work()

    reply = server.call("GET", "/metrics?format=prometheus")

    assert reply.content_type == "text/plain; version=0.0.4; charset=utf-8"
    sample = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? [0-9.e+]+')
    lines = reply.text.splitlines()
    assert all(sample.fullmatch(line) for line in lines if not line.startswith("#"))
    labels = 'client="say \\"hi\\" \\\\ bye",plan="nightly"'
    assert f"bbs_plan_last_success_timestamp_seconds{{{labels}}} 1795435200" in lines
    assert f"bbs_plan_last_backup_failed{{{labels}}} 1" in lines
    assert 'bbs_clients{status="setup"} 1' in lines
    assert 'bbs_jobs{task_type="backup",status="failed"} 1' in lines
    assert "bbs_worker_last_round_timestamp_seconds 1795435200" in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        (SCRAPER, True),
        ("text/plain", True),
        ("application/openmetrics-text", True),
        ("*/*", False),
        ("application/json", False),
        ("text/html,*/*;q=0.8", False),
        ("", False),
    ],
)
def test_the_accept_header_decides(server: Server, accept: str, text: bool) -> None:
    reply = server.call("GET", "/metrics", headers={"Accept": accept})

    assert reply.status_code == 200
    assert reply.is_json is not text
    assert server.call("GET", "/metrics?format=json", headers={"Accept": accept}).is_json
    assert server.call("GET", "/metrics?format=xml").status_code == 400


def test_a_token_for_metrics_opens_nothing_else(server: Server) -> None:
    token = server.mint("prometheus", scope="metrics")

    assert server.call("GET", "/metrics", token=token).status_code == 200
    assert server.call("GET", "/metrics", token=server.mint("reader", scope="read")).status_code == 200
    for rule in server.app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        if not path.startswith("/api/v1") or path.endswith(OPEN):
            continue
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            reply = server.call(method, path.removeprefix("/api/v1"), {} if method != "GET" else None, token=token)
            assert reply.status_code == 403, path
