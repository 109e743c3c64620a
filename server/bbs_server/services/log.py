# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the audit log (admin-api.md §6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from peewee import JOIN

from bbs_server.auth import Principal
from bbs_server.clock import wire
from bbs_server.errors import Invalid
from bbs_server.models import AuditEntry, Client

LEVELS = ("info", "warning", "error")
DEFAULT_PAGE = 100
MAXIMUM_PAGE = 500


def page(
    caller: Principal,
    *,
    limit: int,
    offset: int,
    level: str | None = None,
    client_id: int | None = None,
    since: datetime | None = None,
) -> dict[str, Any]:
    """A part of the log, newest first. Who is no administrator reads of their own clients only.

    :raises Invalid: no such level.
    """
    limit = min(limit, MAXIMUM_PAGE)
    rows = AuditEntry.select(AuditEntry, Client).join(Client, JOIN.LEFT_OUTER)
    if not caller.is_admin:
        rows = rows.where(Client.owner == caller.user)
    if level is not None:
        if level not in LEVELS:
            raise Invalid(f"level: must be one of {', '.join(LEVELS)}.")
        rows = rows.where(AuditEntry.level == level)
    if client_id is not None:
        rows = rows.where(AuditEntry.client == client_id)
    if since is not None:
        rows = rows.where(AuditEntry.at >= since)
    newest = rows.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(limit).offset(offset)
    return {"log": [_entry(row) for row in newest], "total": rows.count(), "limit": limit, "offset": offset}


def _entry(row: AuditEntry) -> dict[str, Any]:
    return {
        "id": row.id,
        "level": row.level,
        "message": row.message,
        "agent_id": row.client_id,
        "agent_name": row.client.name if row.client else None,
        "action": row.action,
        "actor": row.actor,
        "address": row.address,
        "created_at": wire(row.at),
    }
