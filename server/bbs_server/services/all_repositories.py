# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repositories of all clients (admin-api.md §5.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from peewee import fn

from bbs_server.auth import Principal
from bbs_server.errors import Forbidden
from bbs_server.models import Archive, Client, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, ids, names, repositories, s3_links


def listed(
    run: Runtime, caller: Principal, *, include_secrets: bool, limit: int | None = None, offset: int = 0
) -> Iterator[list[dict[str, Any]]]:
    """All repositories by client, then by name; so many at a time.

    :param include_secrets: with their passphrases; each such reading is noted in the audit log.
    :raises Forbidden: the token may not read secrets.
    """
    if include_secrets:
        if not caller.token.can_read_secrets:
            raise Forbidden("include_secrets: this token may not read secrets.")
        audit.record(run, "repository.read_secrets", "The passphrases of all repositories were read.", level="warning")
    rows: Any = _by_name(Repository.select(Repository.id).join(Client)).limit(limit).offset(offset).tuples()
    return (_part(run, some, include_secrets=include_secrets) for some in ids.parts([number for (number,) in rows]))


def _by_name(rows: Any) -> Any:
    return rows.order_by(names.alphabetically(Client.name), Repository.name, Repository.id)


def _part(run: Runtime, numbers: Sequence[int], *, include_secrets: bool) -> list[dict[str, Any]]:
    rows = repositories.with_places(Repository.select(*repositories.COLUMNS, Client)).join_from(Repository, Client)
    counts: Any = Archive.select(Archive.repository, fn.COUNT(Archive.id)).group_by(Archive.repository).tuples()
    archives: dict[int, int] = dict(counts.where(ids.among(Archive.repository, numbers)))
    links = s3_links.states_of(ids.among(Repository.id, numbers))
    return [
        repositories.summary(row, archives.get(row.id, 0), links.get(row.id))
        | {"agent_id": row.client_id, "agent_name": row.client.name}
        | ({"passphrase": repositories.passphrase(run, row)} if include_secrets else {})
        for row in _by_name(rows.where(Repository.id.in_(numbers)))
    ]
