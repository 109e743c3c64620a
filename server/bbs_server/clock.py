# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time as the server sees it: UTC, whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, time zone UTC."""


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC).replace(microsecond=0)


def wire(moment: datetime | None) -> str | None:
    """The API's form of a time: ``YYYY-MM-DD HH:MM:SS``, UTC (admin-api.md §1)."""
    return moment.isoformat(" ", "seconds")[:19] if moment else None
