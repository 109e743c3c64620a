# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode: no new backups, while the server itself goes on (agent-protocol.md §8, §9)."""

from __future__ import annotations

from bbs_server.models import Setting
from bbs_server.runtime import Runtime
from bbs_server.services import audit

_NAME, _ON = "maintenance_mode", "on"


def enabled() -> bool:
    """Whether maintenance mode is on."""
    return bool(Setting.select().where((Setting.name == _NAME) & (Setting.value == _ON)).exists())


def switch(run: Runtime, *, on: bool) -> None:
    """Turn maintenance mode on or off."""
    with run.writing():
        if enabled() == on:
            return
        if on:
            Setting.insert(name=_NAME, value=_ON).execute()
        else:
            Setting.delete().where(Setting.name == _NAME).execute()
        audit.record(run, "maintenance", f"Maintenance mode turned {'on' if on else 'off'}.", level="warning")
