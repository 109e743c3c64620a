# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQLite has one writer at a time: the others wait for their turn, and are told when it does not come."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bbs_server.db import Sqlite

from .conftest import Server, make_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with make_server(tmp_path, database_url=f"sqlite:///{tmp_path}/database") as made:
        yield made


@pytest.fixture
def other(server: Server) -> Iterator[sqlite3.Connection]:
    """Another program that writes, and does not end."""
    with closing(sqlite3.connect(server.run.database.database, isolation_level=None, check_same_thread=False)) as made:
        made.execute("BEGIN IMMEDIATE")
        yield made


def test_who_waits_too_long_is_told_to_try_again(server: Server, client: dict[str, Any], other: Any) -> None:
    assert isinstance(server.run.database, Sqlite)
    server.run.database.patience = 0.01
    server.clock.forward(seconds=1)
    for reply in (
        server.call("POST", "/clients", {"name": "web02"}),
        server.agent("GET", "/tasks", client["api_key"]),
    ):
        assert reply.status_code == 503
        assert reply.json == {"error": "The server's database is too busy at the moment: try again."}
        assert "Retry-After" in reply.headers
    assert [row["name"] for row in server.get("/clients")["clients"]] == ["web01"], "readers do not wait"

    other.rollback()
    assert server.call("POST", "/clients", {"name": "web02"}).status_code == 201


@pytest.mark.parametrize("inside", [True, False], ids=["transaction", "single statement"])
def test_a_writer_goes_on_when_the_other_ends(server: Server, client: dict[str, Any], other: Any, inside: bool) -> None:
    server.clock.forward(seconds=1)

    def write() -> int:
        if inside:
            return server.call("POST", "/clients", {"name": "web02"}).status_code
        return server.agent("GET", "/tasks", client["api_key"]).status_code

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert not writing.done()
        other.rollback()
        assert writing.result() in (200, 201)


def test_who_has_read_what_is_no_longer_true_does_not_wait(server: Server, client: dict[str, Any], other: Any) -> None:
    """Such a transaction could never write: SQLite says so at once, and so does the server."""
    database = server.run.database
    with database.connection_context(), database.atomic() as transaction:
        database.execute_sql("SELECT name FROM clients").fetchall()
        other.execute("UPDATE clients SET name = 'web02'")
        other.commit()
        with pytest.raises(Exception, match="locked") as caught:
            database.execute_sql("UPDATE clients SET name = 'web03'")
        transaction.rollback()
    assert caught.value.orig.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT  # type: ignore[attr-defined]
