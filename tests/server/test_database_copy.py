# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server database copy``: from SQLite to PostgreSQL, nothing lost, nothing half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from bbs_server import cli
from bbs_server.app import create_app
from bbs_server.clock import system_clock
from bbs_server.db import copying
from bbs_server.models import TABLES, Lease, S3Credentials
from bbs_server.processes.pid_file import PidFile
from bbs_server.runtime import EXTENSION, Runtime
from bbs_server.settings import Settings

from ..database_servers import PASSWORD, Postgres, open_directory, postgres
from .conftest import Server, make_server
from .test_query_counts import fill


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with open_directory() as directory, postgres(directory / "pg") as made:
        yield made


@pytest.fixture
def target(cluster: Postgres) -> str:
    """The URL of an empty database, without its password."""
    name = f"copy{uuid4().hex}"
    cluster.sql(f"CREATE DATABASE {name}")
    return f"postgresql://backup@127.0.0.1:{cluster.port}/{name}"


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Server]:
    """A server on SQLite with rows in every table; the highest client was deleted."""
    with make_server(tmp_path, database_url=f"sqlite:///{tmp_path}/bbs.sqlite") as server:
        server.post("/clients", {"name": "Büro '日本' \\N"})
        fill(server, range(3))
        server.call("GET", "/clients", token="wrong")
        server.work()
        with server.run.database.connection_context():
            Lease.delete().execute()
        last = server.post("/clients", {"name": "last"})
        server.post(f"/clients/{last['id']}/repositories", {"name": "deleted", "encryption": "none"})
        server.call("DELETE", f"/clients/{last['id']}")
        with server.run.database.connection_context():
            S3Credentials.create(endpoint="https://s3", region="r", bucket="b", path_prefix="")
            Lease.create(name="x", holder="h", expires_at=server.clock() - timedelta(days=10_000))
        yield server


Copy = Callable[..., Result]


@pytest.fixture
def copy(filled: Server, tmp_path: Path) -> Copy:
    """The command; the password stands in a file."""
    directory = filled.run.settings.directory
    config, password = directory / "bbs-server.toml", tmp_path / "password"
    config.write_text(f'database_url = "sqlite:///{tmp_path}/bbs.sqlite"\n')
    password.write_text(f"{PASSWORD}\n")

    def run(url: str, *, password_file: str = str(password)) -> Result:
        arguments = ["--config", str(config), "database", "copy", "--to", url, "--password-file", password_file]
        return CliRunner().invoke(cli.cli, arguments)

    return run


def rows(run: Runtime) -> dict[str, list[Any]]:
    """All rows as the application reads them."""
    with run.database.connection_context():
        return {model.__name__: sorted(model.select().tuples(), key=lambda row: row[0]) for model in TABLES}


def test_everything_arrives_and_the_server_goes_on(filled: Server, copy: Copy, target: str, tmp_path: Path) -> None:
    before, file = rows(filled.run), (tmp_path / "bbs.sqlite").read_bytes()
    assert all(before.values()), "every table has rows"

    done = copy(target)

    assert done.exit_code == 0, done.exception
    told = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()[:-1]}
    assert sorted(told.values()) == sorted(len(found) for found in before.values())
    assert (tmp_path / "bbs.sqlite").read_bytes() == file
    moved = Settings.from_values(
        {
            "directory": str(filled.run.settings.directory),
            "database_url": target,
            "database_password_file": str(tmp_path / "password"),
        }
    )
    app = create_app(moved)
    run: Runtime = app.extensions[EXTENSION]
    assert rows(run) == before
    server = Server(run, app, filled.clock, filled.token)
    highest = max(client["id"] for client in server.get("/clients")["clients"])
    assert server.post("/clients", {"name": "first on PostgreSQL"})["id"] == highest + 2, "the deleted id is not reused"
    run.database.close_all()


def test_a_target_that_is_not_empty_is_refused(cluster: Postgres, copy: Copy, target: str) -> None:
    cluster.sql("CREATE TABLE clients (id int)", target.rsplit("/", 1)[1])
    cluster.sql("INSERT INTO clients VALUES (7)", target.rsplit("/", 1)[1])

    assert "The target is not empty: it has a table clients." in str(copy(target).exception)
    assert cluster.sql("SELECT id FROM clients", target.rsplit("/", 1)[1]) == "7\n"


def test_a_second_copy_is_refused(copy: Copy, target: str) -> None:
    assert copy(target).exit_code == 0
    assert "The target is not empty" in str(copy(target).exception)


def test_a_difference_is_found_and_nothing_is_kept(
    cluster: Postgres, copy: Copy, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_table = copying._Table.fill

    def lossy(table: Any, into: Any, given: Any) -> None:
        fill_table(table, into, list(given)[: -1 if table.name == "archives" else None])

    monkeypatch.setattr(copying._Table, "fill", lossy)

    assert "The table archives differs after copying" in str(copy(target).exception)
    assert cluster.sql("SELECT count(*) FROM clients", target.rsplit("/", 1)[1]) == "0\n"
    monkeypatch.undo()
    assert copy(target).exit_code == 0


def test_a_running_server_is_refused(filled: Server, copy: Copy, target: str) -> None:
    with PidFile(filled.run.settings.run_directory / "bbs-server.pid", "The server").holding():
        assert "The server is running: stop it first" in str(copy(target).exception)


def test_a_running_worker_is_refused(filled: Server, copy: Copy, target: str) -> None:
    with filled.run.database.connection_context():
        Lease.update(expires_at=system_clock() + timedelta(minutes=5)).execute()
    assert "A worker is running" in str(copy(target).exception)


def test_a_password_among_the_arguments_is_refused(cluster: Postgres, copy: Copy, target: str) -> None:
    refused = str(copy(cluster.url(target.rsplit("/", 1)[1])).exception)
    assert "leave the password out of the URL" in refused
    assert PASSWORD not in refused


def test_an_old_schema_is_refused(filled: Server, copy: Copy, target: str) -> None:
    with filled.run.database.connection_context():
        filled.run.database.execute_sql("DELETE FROM schema_migration WHERE name LIKE '0002%'")
    assert "run 'bbs-server migrate' first" in str(copy(target).exception)


def test_only_sqlite_is_copied(copy: Copy, tmp_path: Path) -> None:
    assert "only postgresql://" in str(copy(f"sqlite:///{tmp_path}/other").exception)
