# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request costs in fleets of 100, 1,000 and 10,000 clients; ``docs/pictures/growth.svg`` shows it."""

from __future__ import annotations

from collections.abc import Mapping

import fleet
from lab import Lab
from load import wrk
from report import Row

SIZES = (100, 1000, 10_000)
ROWS = [
    Row(f"{title}: {SIZES[-1]} clients beside {SIZES[0]}", "times the rate", (">=", 0.8))
    for title in ("GET client", "agent poll", "PUT plan", "a page of 50 clients")
]


def measure(lab: Lab) -> list[tuple[float, Mapping[str, float]]]:
    """The rates of the largest fleet, divided by those of the smallest."""
    rates: dict[str, list[float]] = {}
    known = 0
    for size in SIZES:
        fleet.fill(lab.server, range(known + 1, size + 1))
        known = size
        for name, rate in _rates(lab).items():
            rates.setdefault(name, []).append(rate)
    return [
        (found[-1] / found[0], {f"with_{size}": rate for size, rate in zip(SIZES, found, strict=True)})
        for found in rates.values()
    ]


def _rates(lab: Lab) -> dict[str, float]:
    api, seconds = f"{lab.server.url}/api/v1", lab.seconds / 5
    change = """'{"prune_days": ' .. count % 30 + 1 .. '}'"""
    return {
        "GET client": wrk(f"{api}/clients/7", lab.token, seconds).rate,
        "agent poll": wrk(f"{lab.server.url}/api/agent/tasks", fleet.key(7), seconds).rate,
        "PUT plan": wrk(f"{api}/clients/7/plans/7", lab.token, seconds, "PUT", change).rate,
        "a page of 50 clients": wrk(f"{api}/clients?limit=50", lab.token, seconds).rate,
    }
