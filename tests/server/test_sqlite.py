# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQLite has one writer at a time, and what was answered is on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Lock, Semaphore
from typing import Any

import pytest

from bbs_server.db.sqlite import Sqlite

from .conftest import Server, make_server
from .wholeness import assert_whole


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


class Disk:
    """Notes what is waited for; a test says whether that works."""

    def __init__(self, server: Server) -> None:
        self.path = Path(server.run.database.database)
        self.waited = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.fails = False
        self.works = Event()
        self.works.set()

    def sync(self, descriptor: int) -> None:
        assert Path(f"/proc/self/fd/{descriptor}").samefile(f"{self.path}-wal")
        self.waited += 1
        self.meanwhile()
        self.works.wait(timeout=60)
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")

    def names(self) -> list[str]:
        """The clients in the database's own file, without what is in its log alone."""
        copy = self.path.with_name("copy")
        shutil.copy(self.path, copy)
        with closing(sqlite3.connect(copy)) as opened:
            return [name for (name,) in opened.execute("SELECT name FROM clients ORDER BY id")]


@pytest.fixture
def disk(server: Server, client: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(server)
    monkeypatch.setattr(os, "fdatasync", made.sync)
    return made


def test_what_is_answered_was_waited_for(server: Server, disk: Disk) -> None:
    for count, (method, path, body) in enumerate(
        [
            ("POST", "/clients", {"name": "web02"}),
            ("PUT", "/clients/2", {"name": "web03"}),
            ("DELETE", "/clients/2", None),
        ]
    ):
        assert server.call(method, path, body).status_code in (200, 201)
        assert disk.waited == count + 1


def test_nobody_is_held_up_by_the_disk(server: Server, disk: Disk) -> None:
    def write() -> None:
        with closing(sqlite3.connect(disk.path, isolation_level=None, timeout=0)) as another:
            another.execute("UPDATE clients SET hostname = 'h'")

    disk.meanwhile = write
    assert server.call("POST", "/clients", {"name": "web02"}).status_code == 201
    assert disk.waited == 1


def test_nothing_is_waited_for_where_nothing_was_written(server: Server, client: dict[str, Any], disk: Disk) -> None:
    assert server.call("POST", "/clients", {"name": "web01"}).status_code == 409
    assert server.call("POST", "/clients?dry_run=1", {"name": "web02"}).status_code == 200
    server.clock.forward(seconds=1)
    assert server.agent("GET", "/tasks", client["api_key"]).status_code == 200, "which writes a heartbeat"
    with server.run.database.connection_context(), server.run.writing():
        pass
    assert disk.waited == 0


def test_a_transaction_in_another_waits_once(server: Server, disk: Disk) -> None:
    with server.run.database.connection_context(), server.run.writing():
        for name in ("web02", "web03"):
            with server.run.writing():
                server.run.database.execute_sql("UPDATE clients SET name = ?", (name,))
        assert disk.waited == 0
    assert disk.waited == 1


def test_what_may_not_be_on_the_disk_is_no_success(server: Server, disk: Disk) -> None:
    """Nobody is told that it was done, until the database's own file has all of it."""
    server.work()
    disk.waited, disk.fails = 0, True
    for name in ("web02", "web03"):
        reply = server.call("POST", "/clients", {"name": name})
        assert reply.status_code == 503
        assert reply.json["error"].startswith("The server's disk failed: whether this was carried out is not certain.")
    assert_whole(server.run)

    disk.fails = False
    with closing(sqlite3.connect(disk.path)) as reader:
        reader.execute("BEGIN").execute("SELECT name FROM clients").fetchall()
        assert server.call("POST", "/clients", {"name": "web04"}).status_code == 503, "a reader is in the way"
    assert "web04" not in disk.names()
    assert server.call("POST", "/clients", {"name": "web05"}).status_code == 201
    assert disk.names() == ["web01", "web02", "web03", "web04", "web05"]
    assert server.call("POST", "/clients", {"name": "web06"}).status_code == 201
    assert "web06" not in disk.names(), "the log is trusted again"


class Turn:
    """A lock that tells how many have come for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.came = Semaphore(0)

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_those_who_wait_together_share_a_call(server: Server, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who come while the disk is at work share the next call: for that one they are too late."""
    turn, begun, others = Turn(), Event(), 5
    assert isinstance(server.run.database, Sqlite)
    monkeypatch.setattr(server.run.database._log, "_turn", turn)
    headers = {"Authorization": f"Bearer {server.token}"}

    def create(number: int) -> int:
        http = server.app.test_client()
        return http.post("/api/v1/clients", json={"name": f"c{number}"}, headers=headers).status_code

    disk.works.clear()
    disk.meanwhile = begun.set
    with ThreadPoolExecutor(1 + others) as pool:
        creating = [pool.submit(create, 0)]
        assert begun.wait(timeout=60)
        creating += [pool.submit(create, 1 + number) for number in range(others)]
        for _ in creating:
            assert turn.came.acquire(timeout=60)
        assert not any(each.done() for each in creating)
        disk.works.set()
        assert {each.result() for each in creating} == {201}
    assert disk.waited == 2
