# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server with 200 clients answers in a second, on SQLite and on PostgreSQL, and what memory it takes."""

from __future__ import annotations

from collections.abc import Mapping

import fleet
from lab import Lab, memory
from live_server import LiveServer
from load import Load, wrk
from report import Row

CLIENTS = 200

# The figures of BBS 2.91.1 are those of a quiet run on 2 cores with php-fpm, nginx and MariaDB.
ROWS = [
    Row(f"GET clients ({CLIENTS} rows)", "requests/s", (">=", 2470), reference=617),
    Row("GET client", "requests/s", (">=", 2800), reference=700),
    Row("agent poll", "requests/s", (">=", 2080), reference=519),
    Row("PUT plan", "requests/s", (">=", 1050), reference=525),
    Row("POST client", "requests/s", (">=", 66), reference=0.66),
    Row("memory of web and worker after that", "MiB", ("<=", 100), reference=425),
]


def measure(lab: Lab) -> list[tuple[float, Mapping[str, float]]]:
    """Rates of the default configuration; beside them those on PostgreSQL."""
    with lab.as_installed() as (server, token):
        before, _ = memory(server)
        found = _rates(server, token, lab.seconds)
        taken, private = memory(server)
    with lab.postgresql() as (server, token):
        beside = _rates(server, token, lab.seconds / 4)
    rates: list[tuple[float, Mapping[str, float]]] = [
        (here.rate, {"p99_ms": here.p99, "on_PostgreSQL": there.rate, "its_p99_ms": there.p99})
        for here, there in zip(found, beside, strict=True)
    ]
    return [*rates, (taken, {"before_the_load": before, "of_these_not_shared": private})]


def _rates(server: LiveServer, token: str, seconds: float) -> list[Load]:
    fleet.fill(server, range(1, CLIENTS + 1))
    api = f"{server.url}/api/v1"
    change = """'{"prune_days": ' .. count % 30 + 1 .. '}'"""
    name = """'{"name": "new-' .. stamp .. '-' .. thread .. '-' .. count .. '"}'"""
    return [
        wrk(f"{api}/clients", token, seconds),
        wrk(f"{api}/clients/7", token, seconds),
        wrk(f"{server.url}/api/agent/tasks", fleet.key(7), seconds),
        wrk(f"{api}/clients/7/plans/7", token, seconds, "PUT", change),
        wrk(f"{api}/clients", token, seconds, "POST", name),
    ]
