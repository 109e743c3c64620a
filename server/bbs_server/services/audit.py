# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log: who did what, from where."""

from __future__ import annotations

from flask import g, has_request_context, request

from bbs_server.db.statements import Statement, slot
from bbs_server.models import NAME_LENGTH, AuditEntry, Client
from bbs_server.runtime import Runtime

_COLUMNS = (
    AuditEntry.at,
    AuditEntry.level,
    AuditEntry.actor,
    AuditEntry.address,
    AuditEntry.action,
    AuditEntry.client,
    AuditEntry.message,
)
_ENTRY = Statement(lambda: AuditEntry.insert({column: slot(column.name) for column in _COLUMNS}))


def record(run: Runtime, action: str, message: str, *, client: Client | None = None, level: str = "info") -> None:
    """Write one entry, in the transaction of what it tells of.

    :param action: ``client.create``, ``job.cancel`` …
    :param message: a sentence without secrets.
    """
    _ENTRY.execute(
        at=run.clock(),
        level=level,
        actor=_actor(run)[:NAME_LENGTH],
        address=request.remote_addr if has_request_context() else None,
        action=action,
        client=client and client.id,
        message=message,
    )


def _actor(run: Runtime) -> str:
    if not has_request_context():
        return run.operator
    if "principal" in g:
        return f"token {g.principal.token.name}"
    if "agent" in g:
        return f"agent {g.agent.name}"
    return "anonymous"
