# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plugin configurations over the API (admin-api.md §5.6)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Server

MYSQL = {"user": "bbs_backup", "password": "canary-secret"}


@pytest.fixture
def configs(client: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/plugin-configs"


@pytest.fixture
def mysql(server: Server, configs: str) -> str:
    body = {"plugin": "mysql_dump", "name": "Production", "config": MYSQL}
    return f"{configs}/{server.post(configs, body)['id']}"


def test_defaults_are_filled_in_and_secrets_masked(server: Server, configs: str, mysql: str) -> None:
    (shown,) = server.get(configs)["plugin_configs"]

    assert shown["slug"] == "mysql_dump"
    assert shown["config"]["password"] == "********"
    assert shown["config"]["port"] == 3306
    assert shown["config"]["exclude_databases"] == ["information_schema", "performance_schema", "sys"]


def test_a_secret_is_nowhere_in_clear(server: Server, mysql: str) -> None:
    for file in server.run.settings.directory.rglob("*"):
        assert not file.is_file() or b"canary-secret" not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "x", "config": {}}, "plugin: is required."),
        ({"plugin": "mysql_dump", "config": {}}, "name: is required."),
        ({"plugin": "mysql_dump", "name": "x", "config": "abc"}, "config: must be an object."),
        ({"plugin": "mysql_dump", "name": "x", "config": {}}, "config.password: is required for mysql_dump."),
        ({"plugin": "mysql_dump", "name": "x", "config": {"foo": 1}}, "config.foo: mysql_dump has no such option"),
        ({"plugin": "mysql_dump", "name": "x", "config": MYSQL | {"port": "x"}}, "config.port: must be a whole number"),
        ({"plugin": "mysql_dump", "name": "x", "config": {"password": {"canary": 1}}}, "config.password: must be text"),
        ({"plugin": "shell_hook", "name": "x", "config": {"post_script_timing": "later"}}, "config.post_script_timing"),
        ({"plugin": "s3_sync", "name": "x", "config": {"credential_source": "custom"}}, "config.bucket: is required"),
    ],
)
def test_bad_input_is_refused_with_a_reason(server: Server, configs: str, body: dict[str, Any], told: str) -> None:
    reply = server.call("POST", configs, body)

    assert reply.status_code == 400
    assert told in reply.json["error"]
    assert "canary" not in reply.text
    assert server.get(configs) == {"plugin_configs": []}


@pytest.mark.parametrize(
    ("plugin", "config", "told"),
    [
        ("pg_dump", {"port": 99999}, "config.port: must be a whole number from 1 to 65535."),
        ("mongo_dump", {"port": "0"}, "config.port: must be a whole number from 1 to 65535."),
        ("pg_dump", {"dump_dir": "dumps"}, "config.dump_dir: must be an absolute path."),
        ("pg_dump", {"dump_dir": "-x"}, "config.dump_dir: must be an absolute path."),
        ("mysql_dump", {"extra_options": "--where='canary"}, "config.extra_options: must be words as a shell takes"),
        ("shell_hook", {"pre_script": "/x 'canary"}, "config.pre_script: must be words as a shell takes them"),
        ("shell_hook", {"timeout": 0}, "config.timeout: must be a whole number from 1 to"),
        ("s3_sync", {"bandwidth_limit": "10M/s"}, "config.bandwidth_limit: must be bytes per second, such as 500K"),
        ("s3_sync", {"endpoint": "ftp://canary x"}, "config.endpoint: must be a URL such as"),
        ("s3_sync", {"secret_key": "canary key"}, "config.secret_key: must be plain characters without spaces."),
    ],
)
def test_what_the_agent_would_refuse_at_night_is_refused_now(
    server: Server, configs: str, plugin: str, config: dict[str, Any], told: str
) -> None:
    login = MYSQL if plugin.endswith("dump") else {}
    reply = server.call("POST", configs, {"plugin": plugin, "name": "x", "config": login | config})

    assert reply.status_code == 400
    assert reply.json["error"].startswith(told)
    assert "canary" not in reply.text
    assert server.get(configs) == {"plugin_configs": []}


def test_what_agents_take_is_accepted(server: Server, configs: str) -> None:
    dump = MYSQL | {"port": "65535", "dump_dir": "D:\\dumps", "extra_options": "--where='a b'", "host": ""}
    hook = {"pre_script": "/x 'a b'", "post_script": "", "timeout": 1}
    copy = {"bandwidth_limit": "10mb", "endpoint": "s3.example:9000/path", "bucket": "b.c"}
    for plugin, config in (("mysql_dump", dump), ("shell_hook", hook), ("s3_sync", copy)):
        assert server.call("POST", configs, {"plugin": plugin, "name": "x", "config": config}).status_code == 201


def test_unknown_plugin_is_not_found(server: Server, configs: str) -> None:
    assert server.call("POST", configs, {"plugin": "nope", "name": "x"}).status_code == 404


def test_a_name_is_taken_once_per_plugin(server: Server, configs: str, mysql: str) -> None:
    assert (
        server.call("POST", configs, {"plugin": "mysql_dump", "name": "Production", "config": MYSQL}).status_code == 409
    )
    assert server.call("POST", configs, {"plugin": "pg_dump", "name": "Production", "config": MYSQL}).status_code == 201


def test_update_merges_and_keeps_masked_secrets(server: Server, client: dict[str, Any], mysql: str) -> None:
    listed = server.get(mysql)["config"]
    updated = server.call("PUT", mysql, {"config": listed | {"port": 3307}})

    assert updated.status_code == 200
    assert updated.json["config"]["config"]["password_set"] is True
    assert "password" not in updated.json["config"]["config"]
    assert secret_at_the_agent(server, client, mysql) == "canary-secret"
    assert server.get(mysql)["config"]["port"] == 3307


def test_update_replaces_a_secret(server: Server, client: dict[str, Any], mysql: str) -> None:
    server.call("PUT", mysql, {"config": {"password": "new"}})

    assert secret_at_the_agent(server, client, mysql) == "new"


def test_null_returns_to_the_default_and_replace_starts_over(server: Server, mysql: str) -> None:
    server.call("PUT", mysql, {"config": {"port": 3307, "host": "db"}})
    server.call("PUT", mysql, {"config": {"port": None}})
    assert (server.get(mysql)["config"]["port"], server.get(mysql)["config"]["host"]) == (3306, "db")

    server.call("PUT", mysql, {"config": {"user": "other"}, "replace": True})
    assert (server.get(mysql)["config"]["user"], server.get(mysql)["config"]["host"]) == ("other", "localhost")


def test_deletion_detaches(server: Server, client: dict[str, Any], repository: dict[str, Any], mysql: str) -> None:
    body = {
        "name": "p",
        "repository_id": repository["id"],
        "directories": "/etc",
        "plugins": [{"plugin_config_id": int(mysql.rsplit("/", 1)[1])}],
    }
    plan = server.post(f"/clients/{client['id']}/plans", body)

    assert server.call("DELETE", mysql).status_code == 204
    assert server.call("DELETE", mysql).status_code == 404
    assert server.get(f"/clients/{client['id']}/plans/{plan['id']}")["plugins"] == []


def secret_at_the_agent(server: Server, client: dict[str, Any], config: str) -> str:
    """The password as the agent gets it in its task."""
    repository = server.post(f"/clients/{client['id']}/repositories", {"name": "r", "encryption": "none"})
    body = {
        "name": "p",
        "repository_id": repository["id"],
        "directories": "/etc",
        "plugins": [{"plugin_config_id": int(config.rsplit("/", 1)[1])}],
    }
    plan = server.post(f"/clients/{client['id']}/plans", body)
    server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    password: str = task["plugins"][0]["config"]["password"]
    return password


@pytest.mark.parametrize(
    "config",
    [
        {"password": "\ud800"},
        {"exclude_databases": ["\ud800"]},
        {"databases": "a\x00b"},
        {"dump_dir": "--rsh=evil"},
    ],
)
def test_what_no_database_or_borg_takes_is_refused(server: Server, configs: str, config: dict[str, Any]) -> None:
    reply = server.call("POST", configs, {"plugin": "mysql_dump", "name": "x", "config": MYSQL | config})

    assert reply.status_code == 400
    assert reply.json["error"].startswith(f"config.{next(iter(config))}: must be")


@pytest.mark.parametrize(
    ("query", "found"),
    [("name=a", ["a", "a"]), ("plugin=mysql_dump", ["a"]), ("name=a&plugin=shell_hook", ["a"]), ("name=x", [])],
)
def test_name_and_plugin_narrow_the_list(server: Server, configs: str, query: str, found: list[str]) -> None:
    server.post(configs, {"plugin": "mysql_dump", "name": "a", "config": {"password": "p"}})
    for name in ("a", "b"):
        server.post(configs, {"plugin": "shell_hook", "name": name, "config": {"pre_script": "/bin/true"}})

    assert [config["name"] for config in server.get(f"{configs}?{query}")["plugin_configs"]] == found
