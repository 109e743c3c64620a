# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing is half-written: whichever write of a request fails, neither row nor folder nor key stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee
import pytest

from bbs_server.runtime import Runtime
from bbs_server.services import trash

from .api_page import examples
from .conftest import Server, reuse_ids, used_ids
from .test_api_page import Reader, snapshot

MOST_WRITES = 40


class Sabotage:
    """Makes the n-th write of a request fail, whether it goes to the database or elsewhere; a COMMIT is one too."""

    def __init__(self, fatal: int) -> None:
        self.left = fatal

    @property
    def happened(self) -> bool:
        return self.left <= 0

    def count(self, failure: Exception) -> None:
        self.left -= 1
        if self.left == 0:
            raise failure

    @contextmanager
    def installed(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> Iterator[None]:
        database = server.run.database
        execute, commit, act = database.execute_sql, database.commit, Runtime.act

        def failing_execute(sql: str, *arguments: Any) -> Any:
            if sql.startswith(("INSERT", "UPDATE", "DELETE")) and '"tokens"' not in sql:
                self.count(peewee.OperationalError("disk I/O error"))
            return execute(sql, *arguments)

        def failing_commit() -> None:
            self.count(peewee.OperationalError("database or disk is full"))
            commit()

        def failing_act(run: Runtime, effect: Any, *arguments: Any, **options: Any) -> None:
            self.count(OSError("disk I/O error"))
            act(run, effect, *arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(database, "execute_sql", failing_execute)
            patched.setattr(database, "commit", failing_commit)
            patched.setattr(Runtime, "act", failing_act)
            yield


def test_whichever_write_fails_nothing_stays_behind(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.work()
    # Made with the first deletion, whether that succeeds or not; empty it is no trace of anything.
    (server.run.settings.storage / trash.FOLDER).mkdir(mode=0o700)
    reader = Reader(server, tmp_path)
    for example in examples():
        if not example.is_write:
            reader.follow(example)
            continue
        for fatal in range(1, MOST_WRITES):
            before, ids, sabotage = snapshot(server), used_ids(server), Sabotage(fatal)
            with sabotage.installed(monkeypatch, server):
                reply = reader.follow(example)
            if not sabotage.happened:
                assert reply.status_code == example.status, example.title
                break
            assert reply.status_code == 500, (example.title, fatal, reply.text)
            assert snapshot(server) == before, (example.title, fatal)
            reuse_ids(server, ids)
        else:
            pytest.fail(f"{example.title} never succeeded.")
