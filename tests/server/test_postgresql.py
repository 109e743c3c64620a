# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL as the database: what SQLite cannot do to a server, and what must be the same on both."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from playhouse.pool import PooledPostgresqlDatabase

from bbs_server import cli, db
from bbs_server.db import postgresql
from bbs_server.db.errors import DatabaseError
from bbs_server.models import Client, Setting, StorageLocation
from bbs_server.scheduling import upkeep
from bbs_server.settings import Settings

from ..database_servers import PASSWORD, Postgres, open_directory, postgres
from .conftest import Server, make_server
from .wholeness import assert_whole

AT_ONCE = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with open_directory() as directory, postgres(directory / "pg") as made:
        yield made


@pytest.fixture
def url(cluster: Postgres) -> str:
    """An empty database."""
    name = f"server{uuid4().hex}"
    cluster.sql(f"CREATE DATABASE {name}")
    return cluster.url(name)


@pytest.fixture
def server(tmp_path: Path, url: str) -> Iterator[Server]:
    with make_server(tmp_path, database_url=url) as made:
        yield made


def end_connections(cluster: Postgres) -> None:
    """What a restart of the database does to those who are connected; waits until it is done."""
    cluster.sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'bbs-server'")


def test_a_database_that_is_away_is_told_and_found_again(cluster: Postgres, server: Server) -> None:
    server.post("/clients", {"name": "before"})
    cluster.stop()
    try:
        refused = [server.call("GET", "/clients"), server.call("POST", "/clients", {"name": "lost"})]
        health = server.http.get("/health")
    finally:
        cluster.start()

    for reply in (*refused, health):
        assert reply.status_code == 503
        assert reply.json == {"error": "The server cannot reach its database at the moment: try again."}
        assert reply.headers["Retry-After"] == "5"
    assert [client["name"] for client in server.get("/clients")["clients"]] == ["before"]
    assert not (server.run.settings.storage / "2").exists()


def test_a_restart_between_two_requests_goes_unnoticed(cluster: Postgres, server: Server) -> None:
    server.post("/clients", {"name": "before"})
    end_connections(cluster)
    assert server.call("POST", "/clients", {"name": "after"}).status_code == 201


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_connection_lost_at_the_commit_leaves_folders_as_the_rows_say(
    cluster: Postgres, server: Server, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    commit = PooledPostgresqlDatabase.commit

    def lost(database: Any) -> None:
        if carried_out:
            commit(database)
        end_connections(cluster)
        commit(database)

    def cut_off(method: str, path: str, body: Any = None) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(PooledPostgresqlDatabase, "commit", lost)
            assert server.call(method, path, body).status_code == 503
        with server.run.database.connection_context():
            upkeep.recover(server.run)
        assert_whole(server.run)
        if not carried_out:
            assert server.call(method, path, body).status_code < 300

    server.work()
    cut_off("POST", "/clients", {"name": "web01"})
    (client,) = server.get("/clients")["clients"]
    base = f"/clients/{client['id']}"
    cut_off("POST", f"{base}/repositories", {"name": "main", "encryption": "none"})
    (repository,) = server.get(f"{base}/repositories")["repositories"]
    cut_off("PUT", f"{base}/repositories/{repository['id']}", {"name": "renamed"})
    cut_off("DELETE", f"{base}/repositories/{repository['id']}")
    server.post(f"{base}/repositories", {"name": "main", "encryption": "none"})
    cut_off("DELETE", base)
    assert len(list((server.run.settings.storage / ".trash").iterdir())) == 2


def test_a_statement_that_takes_too_long_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> None:
        server.run.database.execute_sql("SET statement_timeout = '10ms'; SELECT pg_sleep(60)")

    with monkeypatch.context() as patched:
        patched.setattr("bbs_server.services.clients.listed", slow)
        reply = server.call("GET", "/clients")

    assert reply.status_code == 503
    assert reply.json == {"error": "The server's database is too busy at the moment: try again."}
    server.run.close()
    assert server.get("/clients") == {"clients": []}


def test_a_writer_that_waits_too_long_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgresql._SESSION, "lock_timeout", "10ms")
    server.run.close()
    with ThreadPoolExecutor(1) as other, server.run.database.connection_context(), server.run.writing():
        reply = other.submit(server.call, "POST", "/clients", {"name": "web01"}).result()
        assert other.submit(server.call, "GET", "/clients").result().json == {"clients": []}, "readers do not wait"

    assert reply.status_code == 503
    assert "too busy" in reply.json["error"]  # type: ignore[index]
    assert server.call("POST", "/clients", {"name": "web01"}).status_code == 201


def test_writers_come_one_after_the_other(server: Server) -> None:
    """Each reads, then writes what it has read and one more; none is lost."""
    run, barrier = server.run, Barrier(AT_ONCE)

    def count(_: int) -> None:
        with run.database.connection_context():
            barrier.wait()
            for _ in range(10):
                with run.writing():
                    seen = int(Setting.get_by_id("counted").value)
                    Setting.update(value=str(seen + 1)).where(Setting.name == "counted").execute()

    with run.database.connection_context():
        Setting.create(name="counted", value="0")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(count, range(AT_ONCE)))
        assert Setting.get_by_id("counted").value == str(AT_ONCE * 10)


def test_servers_that_share_a_database_migrate_it_once(url: str, tmp_path: Path) -> None:
    settings = [Settings(directory=tmp_path / str(number), database_url=url) for number in range(AT_ONCE)]
    databases = [db.open_database(one.database) for one in settings]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        applied = list(pool.map(db.migrate, databases))
    for database in databases:
        database.close_all()

    assert sorted(map(bool, applied)) == [False] * (AT_ONCE - 1) + [True]


def test_what_sqlite_stores_is_stored(server: Server) -> None:
    with server.run.database.connection_context():
        far = StorageLocation.create(label="l", path="p", capacity_bytes=2**62, created_at=server.clock())
        assert StorageLocation.get_by_id(far.id).capacity_bytes == 2**62
        assert StorageLocation.get_by_id(far.id).created_at == server.clock()
        assert Client.get_or_none(Client.id == 2**62) is None
        types = {column.data_type for column in server.run.database.get_columns("jobs") if column.name.endswith("id")}
    assert types == {"bigint"}


NAMES = ("web-01", "web01", "WEB02", "web_01", "Ärger", "zeta", "Alpha2", "alpha", "Zürich", "Beta")


def names_in_order(folder: Path, url: str) -> list[str]:
    with make_server(folder, database_url=url) as server:
        for name in NAMES:
            server.post("/clients", {"name": name})
        return [client["name"] for client in server.get("/clients")["clients"]]


def test_lists_are_ordered_as_on_sqlite(tmp_path: Path, url: str) -> None:
    on_sqlite = names_in_order(tmp_path / "sqlite", f"sqlite:///{tmp_path}/database")
    assert names_in_order(tmp_path / "postgresql", url) == on_sqlite
    assert on_sqlite[:3] == ["alpha", "Alpha2", "Beta"]


def test_a_database_with_another_order_is_refused(cluster: Postgres) -> None:
    cluster.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'SQL_ASCII'")
    database = db.open_database(cluster.url("latin"))
    with pytest.raises(DatabaseError, match="encoding SQL_ASCII; C and UTF8 are needed: create it with 'createdb"):
        db.migrate(database)
    database.close_all()


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://bbs:sec@ret@db/bbs",
        "postgresql://bbs:sec/ret@db/bbs",
        "postgresql://bbs:sec%zzret@db/bbs",
        "postgresql://bbs:secret@db:543x/bbs",
        "postgresql://bbs:secret@db",
        "mysql://bbs:secret@db/bbs",
    ],
)
def test_a_bad_url_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        db.open_database(text)
    shown = "".join(traceback.format_exception(refused.value))
    assert not any(part in shown.replace(__file__, "") for part in ("ret@", "sec/", "zzret", "secret")), shown


def test_the_password_may_come_from_a_file_or_the_environment(
    cluster: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = f"postgresql://backup@127.0.0.1:{cluster.port}/{url.rsplit('/', 1)[1]}"
    file = tmp_path / "password"
    with pytest.raises(DatabaseError, match=r"password cannot be read: No such file"):
        db.open_database(bare, str(file))
    file.write_text("\n")
    with pytest.raises(DatabaseError, match="is empty"):
        db.open_database(bare, str(file))

    file.write_text(f"{PASSWORD}\n")
    from_file = db.open_database(bare, str(file))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    from_environment = db.open_database(bare)
    for database in (from_file, from_environment):
        assert not db.migrate(database) or db.pending(database) == []
        database.close_all()


def test_the_password_is_never_shown(
    cluster: Postgres, server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text(f'database_url = "{server.run.settings.database_url}"\n')
    doctor = CliRunner().invoke(cli.cli, ["--config", str(config), "doctor"])
    assert f"PostgreSQL {cluster.sql('SHOW server_version').split()[0]}, " in doctor.stdout

    wrong = server.run.settings.database_url.replace("backup:", "nobody:")
    config.write_text(f'database_url = "{wrong}"\n')
    failed = CliRunner().invoke(cli.cli, ["--config", str(config), "migrate"])
    shown = "".join(traceback.format_exception(failed.exception)) + doctor.output + repr(server.run) + caplog.text
    assert "nobody" in shown
    secret = server.run.settings.database_url.split(":", 2)[2].split("@")[0]
    assert PASSWORD not in shown
    assert secret not in shown
    assert os.environ.get("PGPASSWORD") is None
