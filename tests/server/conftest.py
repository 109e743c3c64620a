# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server in this process: real database, real borg, real keys; only time stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bbs_server.app import build
from bbs_server.db.postgresql import PostgreSQL
from bbs_server.initialise import initialise
from bbs_server.runtime import Runtime
from bbs_server.scheduling import worker
from bbs_server.services import tokens
from bbs_server.settings import Settings

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that tests move."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Server:
    """A server and ways to talk to it."""

    run: Runtime
    app: Flask
    clock: Clock
    token: str = ""
    http: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.http = self.app.test_client()

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **options: Any
    ) -> TestResponse:
        """A request to the admin API with a token, the administrator's unless another is given."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}", **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return self.http.open(f"/api/v1{path}", method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        """The body of a GET that works."""
        reply = self.call("GET", path, **options)
        assert reply.status_code == 200, reply.text
        return reply.json

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """The body of a POST that works."""
        reply = self.call("POST", path, body, **options)
        assert reply.status_code in (200, 201, 202), reply.text
        return reply.json

    def agent(self, method: str, path: str, key: str, body: Any = None) -> TestResponse:
        """A request to the agent API with a client's key."""
        headers = {"Authorization": f"Bearer {key}"}
        return self.http.open(f"/api/agent{path}", method=method, headers=headers, json=body)

    def mint(self, name: str, **options: Any) -> str:
        """Another token of the administrator."""
        with self.run.database.connection_context():
            return tokens.create(self.run, tokens.administrator(), name, **options)[1]

    def work(self) -> None:
        """One round of the worker."""
        with self.run.database.connection_context():
            worker.round_once(self.run)


def used_ids(server: Server) -> list[tuple[str, int]]:
    """The last id of each table, for :func:`reuse_ids`."""
    database = server.run.database
    if not isinstance(database, PostgreSQL):
        return []
    with database.connection_context():
        query = "SELECT sequencename, COALESCE(last_value, 0) FROM pg_sequences"
        return list(database.execute_sql(query).fetchall())


def reuse_ids(server: Server, noted: list[tuple[str, int]]) -> None:
    """Use the ids after these again: after a rollback SQLite does so by itself, PostgreSQL does not."""
    with server.run.database.connection_context():
        for name, last in noted:
            server.run.database.execute_sql("SELECT setval(%s, %s, %s)", (name, max(last, 1), last > 0))


def make_settings(folder: Path, **others: Any) -> Settings:
    values = {"directory": str(folder / "server"), "server_host": "bbs.example", "ssh_user": "bbs", "ssh_port": 2222}
    return Settings.from_values(values | {"server_url": "https://bbs.example", "ssh_host_key_files": [], **others})


@contextmanager
def make_server(folder: Path, **settings: Any) -> Iterator[Server]:
    """A server of its own, also for tests that need one for longer than a function."""
    chosen = make_settings(folder, **settings)
    initialise(chosen)
    clock = Clock()
    run = Runtime.open(chosen, clock=clock)
    made = Server(run, build(run), clock)
    made.token = made.mint("tests")
    yield made
    run.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with make_server(tmp_path) as made:
        yield made


@pytest.fixture
def client(server: Server) -> dict[str, Any]:
    """A client as its creation returned it."""
    created: dict[str, Any] = server.post("/clients", {"name": "web01"})
    return created


@pytest.fixture
def repository(server: Server, client: dict[str, Any]) -> dict[str, Any]:
    """A repository of the client, not encrypted, which is quicker."""
    created: dict[str, Any] = server.post(
        f"/clients/{client['id']}/repositories", {"name": "main", "encryption": "none"}
    )
    return created
