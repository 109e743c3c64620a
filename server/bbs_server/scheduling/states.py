# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job states and the only ways between them (agent-protocol.md §9)."""

from __future__ import annotations

QUEUED, SENT, RUNNING = "queued", "sent", "running"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"

ACTIVE = (QUEUED, SENT, RUNNING)
"""Not yet ended."""

OCCUPYING = (SENT, RUNNING)
"""Holding a slot and the repository."""

ALL = (*ACTIVE, COMPLETED, FAILED, CANCELLED)

TRANSITIONS: dict[str, frozenset[str]] = {
    QUEUED: frozenset({SENT, RUNNING, FAILED, CANCELLED}),
    SENT: frozenset({RUNNING, COMPLETED, FAILED, CANCELLED}),
    RUNNING: frozenset({COMPLETED, FAILED, CANCELLED}),
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
"""From each state, the states that may follow. Server-side jobs skip ``sent``."""


def sources(target: str) -> list[str]:
    """The states from which ``target`` may be entered."""
    return [state for state, targets in TRANSITIONS.items() if target in targets]
