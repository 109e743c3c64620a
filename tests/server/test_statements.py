# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements: made once, run with other values each time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bbs_server.db.statements import Statement, slot
from bbs_server.models import Client

from .conftest import Server


def test_a_statement_is_made_once_and_takes_its_values_each_time(server: Server) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(Client.select(Client.id, Client.name).where(Client.name == slot("name")))
        return made[-1]

    for name in ("web01", "web02"):
        server.post("/clients", {"name": name})
    statement = Statement(make)
    with server.run.database.connection_context():
        found = [statement.first(name=name) for name in ("web01", "web02", "nobody", "web01")]

    assert [row and row.name for row in found] == ["web01", "web02", None, "web01"]
    assert len(made) == 1


def test_what_a_statement_writes_is_what_a_query_writes(server: Server) -> None:
    server.post("/clients", {"name": "web01"})
    then = server.clock() - timedelta(hours=1)
    statement = Statement(lambda: Client.update(last_heartbeat=slot("at")).where(Client.name == slot("name")))
    with server.run.database.connection_context():
        assert statement.execute(at=then, name="web01") == 1
        assert statement.execute(at=then, name="nobody") == 0
        assert Client.get().last_heartbeat == then
        Client.update(last_heartbeat=then).execute()
        assert Client.get().last_heartbeat == then


def test_a_poll_without_work_takes_no_lock(server: Server, client: dict[str, Any]) -> None:
    server.agent("GET", "/tasks", client["api_key"])
    seen: list[str] = []
    execute = server.run.database.execute_sql

    def noting(sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    server.run.database.execute_sql = noting  # type: ignore[method-assign]
    assert server.agent("GET", "/tasks", client["api_key"]).json["tasks"] == []  # type: ignore[index]

    assert [sql.split()[0] for sql in seen] == ["SELECT", "SELECT"]
