# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring databases: what can be asked, and what the agent is told (admin-api.md §6, agent-protocol.md §7.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from . import backups
from .conftest import Server

CONFIGS: dict[str, dict[str, Any]] = {
    "mysql_dump": {"host": "db.example", "port": 3307, "user": "root", "password": "secret 1", "dump_dir": "/d/my"},
    "pg_dump": {"host": "/run/postgresql", "user": "postgres", "password": "secret 2", "dump_dir": "/d/pg"},
    "mongo_dump": {"host": "::1", "user": "m", "password": "secret 3", "dump_dir": "/d/mongo", "auth_db": "users"},
}


@pytest.fixture
def connectors(server: Server, client: dict[str, Any]) -> dict[str, int]:
    path = f"/clients/{client['id']}/plugin-configs"
    bodies = {slug: {"plugin": slug, "name": slug, "config": config} for slug, config in CONFIGS.items()}
    return {slug: server.post(path, body)["id"] for slug, body in bodies.items()}


def group(slug: str, connector: int | None, *names: str, **changes: Any) -> dict[str, Any]:
    """The dumps of one configuration, as agents report them."""
    told = {"config_id": connector, "config_name": slug, "engine": slug, "dump_dir": CONFIGS[slug]["dump_dir"]}
    return {**told, "databases": list(names), "per_database": True, "compress": True, **changes}


def archive_with(server: Server, repository: dict[str, Any], *groups: Any, **changes: Any) -> int:
    columns = {"databases": json.dumps({"version": 2, "groups": list(groups)}), **changes}
    return backups.record_archive(server, repository, "plan1-2026-11-23_10-00-00", **columns)


def ask(server: Server, client: dict[str, Any], connector: int, archive: int, *databases: Any) -> Any:
    body = {"connector_id": connector, "archive_id": archive, "databases": list(databases)}
    return server.call("POST", f"/clients/{client['id']}/restore-db", body)


def task_of(server: Server, client: dict[str, Any]) -> Any:
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    return task


def test_mysql_is_restored_with_the_connectors_login(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int]
) -> None:
    mine = connectors["mysql_dump"]
    # The dumps lie where the backup wrote them, wherever the connector points to by now.
    archive = archive_with(server, repository, group("mysql_dump", mine, "app", "a/b", dump_dir="/old/place"))
    chosen = ({"name": "app"}, {"name": "a/b", "mode": "rename", "target_name": "copy"})

    reply = ask(server, client, mine, archive, *chosen)

    assert reply.status_code == 202
    job_id = reply.json["job_id"]
    assert reply.json == {"status": "queued", "job_id": job_id, "task_type": "restore_mysql"}
    task = task_of(server, client)
    assert (task["task"], task["cwd"], task["job_id"]) == ("restore_mysql", "/", job_id)
    assert task["command"][:2] == ["borg", "extract"]
    location = f"{repository['path']}::plan1-2026-11-23_10-00-00"
    assert task["command"][-3:] == [location, "old/place/app.sql.gz", "old/place/a_b.sql.gz"]
    assert task["databases"] == [
        {"database": "app", "mode": "replace"},
        {"database": "a/b", "mode": "rename", "target_name": "copy"},
    ]
    assert task["mysql_config"] == {
        "host": "db.example", "port": 3307, "user": "root", "password": "secret 1",
        "dump_dir": "/old/place", "compress": True, "per_database": True,
    }  # fmt: skip
    shown = server.call("GET", f"/jobs/{job_id}")
    assert "secret 1" not in shown.text
    assert json.loads(shown.json["restore_databases"])[0]["database"] == "app"


@pytest.mark.parametrize(
    ("slug", "key", "task_type", "path"),
    [
        ("pg_dump", "pg_config", "restore_pg", "d/pg/app.sql"),
        ("mongo_dump", "mongo_config", "restore_mongo", "d/mongo/app"),
    ],
)
def test_other_engines_have_their_own_task(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int],
    slug: str, key: str, task_type: str, path: str,
) -> None:  # fmt: skip
    archive = archive_with(server, repository, group(slug, connectors[slug], "app", compress=False))

    assert ask(server, client, connectors[slug], archive, {"name": "app"}).json["task_type"] == task_type
    task = task_of(server, client)
    assert (task["task"], task["command"][-1]) == (task_type, path)
    wanted = {"host", "port", "user", "password", "dump_dir", "compress"} | ({"auth_db"} if slug[0] == "m" else set())
    assert set(task[key]) == wanted
    assert task[key]["password"] == CONFIGS[slug]["password"]


def test_one_file_for_all_is_restored_as_a_whole(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int]
) -> None:
    mine = connectors["mysql_dump"]
    archive = archive_with(server, repository, group("mysql_dump", mine, "a", "b", per_database=False))

    part = ask(server, client, mine, archive, {"name": "a"})
    assert (part.status_code, "name all of a, b" in part.json["error"]) == (400, True)
    renamed = ask(server, client, mine, archive, {"name": "a"}, {"name": "b", "mode": "rename", "target_name": "c"})
    assert (renamed.status_code, "only replace" in renamed.json["error"]) == (400, True)
    assert ask(server, client, mine, archive, {"name": "b"}, {"name": "a"}).status_code == 202
    task = task_of(server, client)
    assert task["command"][-1] == "d/my/all_databases.sql.gz"
    assert task["mysql_config"]["per_database"] is False


def test_reports_of_older_agents_are_understood(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int]
) -> None:
    told = json.dumps({"databases": ["app"], "per_database": True, "compress": False})
    archive = archive_with(server, repository, databases=told)

    assert ask(server, client, connectors["pg_dump"], archive, {"name": "app"}).status_code == 202
    assert task_of(server, client)["command"][-1] == "d/pg/app.sql"


def test_another_connector_of_the_same_kind_may_take_the_dump(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int]
) -> None:
    """The machine was set up anew, with a configuration of another number."""
    archive = archive_with(server, repository, group("pg_dump", 4711, "app"))

    assert ask(server, client, connectors["pg_dump"], archive, {"name": "app"}).status_code == 202
    refused = ask(server, client, connectors["mysql_dump"], archive, {"name": "app"})
    assert (refused.status_code, "none that this connector can read" in refused.json["error"]) == (400, True)


@pytest.mark.parametrize(
    ("databases", "told"),
    [
        ([], "databases: must name 1 to 1000"),
        (["app"], "databases.0"),
        ([{"name": "other"}], "databases: the archive has no dump with all of other; it holds app"),
        ([{"name": "-x"}], "databases.0.name: must be a name"),
        ([{"name": " "}], "databases.0.name: must be a name"),
        ([{}], "databases.0.name: is required."),
        ([{"name": "app", "mode": "drop"}], "databases.0.mode: must be replace or rename."),
        ([{"name": "app", "mode": "rename"}], "databases.0.target_name: is required"),
        ([{"name": "app", "mode": "rename", "target_name": "--host=x"}], "databases.0.target_name: must be a name"),
        ([{"name": "app", "target_name": "x"}], "databases.0.target_name: goes with the mode rename"),
        ([{"name": "app"}, {"name": "app"}], "databases: names app twice"),
    ],
)
def test_a_bad_request_is_refused(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int],
    databases: list[Any], told: str,
) -> None:  # fmt: skip
    archive = archive_with(server, repository, group("pg_dump", connectors["pg_dump"], "app"))

    reply = ask(server, client, connectors["pg_dump"], archive, *databases)

    assert (reply.status_code, told in reply.json["error"]) == (400, True), reply.text
    assert server.get("/queue")["count"] == 0


def test_what_is_not_there_is_not_found_and_one_at_a_time(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int]
) -> None:
    hook = {"plugin": "shell_hook", "name": "h", "config": {"pre_script": "/bin/true"}}
    hook_id = server.post(f"/clients/{client['id']}/plugin-configs", hook)["id"]
    mine = connectors["pg_dump"]
    archive = archive_with(server, repository, group("pg_dump", mine, "app"))
    other = server.post("/clients", {"name": "other"})

    assert ask(server, client, hook_id, archive, {"name": "app"}).status_code == 404
    assert ask(server, client, mine, 999, {"name": "app"}).status_code == 404
    assert ask(server, other, mine, archive, {"name": "app"}).status_code == 404
    first = ask(server, client, mine, archive, {"name": "app"}).json
    second = ask(server, client, mine, archive, {"name": "app"})
    assert (second.status_code, second.json["job_id"]) == (409, first["job_id"])
    server.call("DELETE", f"/clients/{client['id']}/plugin-configs/{mine}")
    assert server.agent("GET", "/tasks", client["api_key"]).json["tasks"] == []
    assert "is gone" in backups.job(server, first["job_id"])["error_log"]


def test_what_an_archive_holds_can_be_read(
    server: Server, client: dict[str, Any], repository: dict[str, Any], connectors: dict[str, int]
) -> None:
    dumped = group("pg_dump", connectors["pg_dump"], "b", "a")
    archive = archive_with(server, repository, dumped, "nonsense")
    path = f"/clients/{client['id']}"

    assert server.get(f"{path}/repositories/{repository['id']}/archives/{archive}/databases") == {
        "archive_id": archive, "archive_name": "plan1-2026-11-23_10-00-00", "backed_up_at": "2026-11-23 12:00:00",
        "has_databases": True, "databases": ["a", "b"], "groups": [dumped],
    }  # fmt: skip
    listed = server.get(f"{path}/db-connectors")["connectors"]
    assert [(row["id"], row["plugin"]) for row in listed] == [
        (connectors[slug], slug) for slug in ("mongo_dump", "mysql_dump", "pg_dump")
    ]
    token = server.mint("reader", scope="read")
    body = {"connector_id": connectors["pg_dump"], "archive_id": archive, "databases": [{"name": "a"}]}
    assert server.call("POST", f"{path}/restore-db", body, token=token).status_code == 403


def test_borg_finds_the_dumps_where_the_task_says(
    server: Server, client: dict[str, Any], repository: dict[str, Any], tmp_path: Path
) -> None:
    dump_dir = tmp_path / "dumps"
    dump_dir.mkdir()
    (dump_dir / "app.sql").write_text("CREATE TABLE t (i int);")
    config = {**CONFIGS["pg_dump"], "dump_dir": str(dump_dir), "compress": False}
    connector = server.post(
        f"/clients/{client['id']}/plugin-configs", {"plugin": "pg_dump", "name": "pg", "config": config}
    )["id"]
    place = backups.directory(server, repository)
    backups.borg("create", f"{place}::plan1-2026-11-23_10-00-00", str(dump_dir))
    archive = archive_with(
        server, repository, group("pg_dump", connector, "app", dump_dir=str(dump_dir), compress=False)
    )
    ask(server, client, connector, archive, {"name": "app"})

    *options, location, path = task_of(server, client)["command"][1:]

    local = location.replace(repository["path"], str(place))
    assert backups.borg(*(word for word in options if word != "--progress"), "--stdout", local, path).endswith("int);")
