# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans over the API (admin-api.md §5.4)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Server


@pytest.fixture
def plans(client: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/plans"


@pytest.fixture
def minimal(repository: dict[str, Any]) -> dict[str, Any]:
    return {"name": "nightly", "repository_id": repository["id"], "directories": "/etc"}


def hook(server: Server, client: dict[str, Any], name: str) -> int:
    body = {"plugin": "shell_hook", "name": name, "config": {"pre_script": "/bin/true"}}
    made: int = server.post(f"/clients/{client['id']}/plugin-configs", body)["id"]
    return made


def test_defaults_are_upstreams_and_the_schedule_is_armed(server: Server, plans: str, minimal: dict[str, Any]) -> None:
    made = server.post(plans, minimal)

    assert made["next_run"] == "2026-11-24 02:00:00"
    assert made["plugins_attached"] == 0
    (shown,) = server.get(plans)["plans"]
    assert shown == server.get(f"{plans}/{made['id']}")
    assert shown["advanced_options"] == "--compression lz4 --exclude-caches --noatime"
    units = ("minutes", "hours", "days", "weeks", "months", "years")
    assert [shown[f"prune_{unit}"] for unit in units] == [0, 0, 7, 4, 6, 0]
    assert (shown["frequency"], shown["times"], shown["timezone"]) == ("daily", "02:00", "UTC")
    assert (shown["enabled"], shown["paused"], shown["excludes"]) == (True, False, None)


def test_everything_given_is_read_back(
    server: Server, client: dict[str, Any], plans: str, minimal: dict[str, Any]
) -> None:
    second, first = hook(server, client, "second"), hook(server, client, "first")
    body = minimal | {
        "directories": "  /etc\r\n\r\n/srv  ",
        "excludes": "*.tmp\n*.log",
        "advanced_options": "--compression zstd,3",
        "frequency": "weekly",
        "times": "14:00,2:30",
        "day_of_week": 3,
        "timezone": "Europe/Berlin",
        "prune_days": 14,
        "plugins": [{"plugin_config_id": first}, {"plugin_config_id": second}],
    }
    made = server.post(plans, body)
    shown = server.get(f"{plans}/{made['id']}")

    assert shown["directories"] == "/etc\n/srv"
    assert shown["times"] == "02:30,14:00"
    assert shown["day_of_week"] == 3
    assert shown["next_run"] == "2026-11-25 01:30:00"
    assert [plugin["name"] for plugin in shown["plugins"]] == ["first", "second"]
    assert made["plugins_attached"] == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "0"}, "name"),
        ({"name": "p" * 101}, "name"),
        ({"directories": ["/a", "/b"]}, "directories"),
        ({"directories": " \n "}, "directories"),
        ({"directories": "--rsh=evil"}, "directories"),
        ({"excludes": ["*.tmp"]}, "excludes"),
        ({"excludes": "-x"}, "excludes"),
        ({"advanced_options": "--compression lz4; rm -rf /"}, "advanced_options"),
        ({"advanced_options": "--rsh evil"}, "advanced_options"),
        ({"advanced_options": "--remote-path evil"}, "advanced_options"),
        ({"advanced_options": "--compression"}, "advanced_options"),
        ({"advanced_options": "--compression zstdd"}, "advanced_options"),
        ({"excludes": "*.tmp\nre:("}, "excludes"),
        ({"frequency": "yearly"}, "frequency"),
        ({"frequency": "weekly"}, "day_of_week"),
        ({"frequency": "monthly"}, "day_of_month"),
        ({"frequency": "weekly", "day_of_week": [1, 3]}, "day_of_week"),
        ({"times": "99:99"}, "times"),
        ({"times": ["02:00"]}, "times"),
        ({"timezone": "Mars/Phobos"}, "timezone"),
        ({"prune_days": "abc"}, "prune_days"),
        ({"prune_days": 99999999999}, "prune_days"),
        ({"prune_days": True}, "prune_days"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"plugins": [1, 2]}, "plugins"),
        ({"plugins": 5}, "plugins"),
        ({"plugins": [{"plugin_config_id": 99999}]}, "plugins"),
    ],
)
def test_bad_input_names_the_field_and_changes_nothing(
    server: Server, plans: str, minimal: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    created = server.call("POST", plans, minimal | change)
    assert created.status_code == 400
    assert created.json["error"].startswith(f"{field}: ")
    assert server.get(plans) == {"plans": []}

    made = server.post(plans, minimal)
    before = server.get(f"{plans}/{made['id']}")
    updated = server.call("PUT", f"{plans}/{made['id']}", change)
    assert updated.status_code == 400
    assert updated.json["error"].startswith(f"{field}: ")
    assert server.get(f"{plans}/{made['id']}") == before


def test_names_are_unique_within_a_client(server: Server, plans: str, minimal: dict[str, Any]) -> None:
    made = server.post(plans, minimal)
    server.post(plans, minimal | {"name": "other"})

    assert server.call("POST", plans, minimal).status_code == 409
    assert server.call("PUT", f"{plans}/{made['id']}", {"name": "other"}).status_code == 409
    assert server.get(f"{plans}/{made['id']}")["name"] == "nightly"


def test_another_clients_repository_and_plugins_are_refused(
    server: Server, client: dict[str, Any], plans: str, minimal: dict[str, Any]
) -> None:
    other = server.post("/clients", {"name": "web02"})
    foreign = hook(server, other, "foreign")

    assert server.call("POST", f"/clients/{other['id']}/plans", minimal).status_code == 404
    reply = server.call("POST", plans, minimal | {"plugins": [{"plugin_config_id": foreign}]})
    assert reply.status_code == 400
    assert server.get(plans) == {"plans": []}


def test_null_clears_what_can_be_empty_and_nothing_else(server: Server, plans: str, minimal: dict[str, Any]) -> None:
    made = server.post(plans, minimal | {"excludes": "*.tmp"})
    path = f"{plans}/{made['id']}"

    assert server.call("PUT", path, {"excludes": None, "advanced_options": None}).status_code == 200
    assert server.get(path)["excludes"] is None
    assert server.get(path)["advanced_options"] is None
    assert server.call("PUT", path, {"directories": None}).status_code == 400


def test_a_schedule_change_computes_the_next_run_and_keeps_a_pause(
    server: Server, plans: str, minimal: dict[str, Any]
) -> None:
    path = f"{plans}/{server.post(plans, minimal)['id']}"

    server.call("PUT", path, {"times": "13:00"})
    assert server.get(path)["next_run"] == "2026-11-23 13:00:00"

    server.call("POST", f"{path}/pause")
    assert (server.get(path)["paused"], server.get(path)["next_run"]) == (True, None)
    server.call("PUT", path, {"frequency": "hourly"})
    assert (server.get(path)["paused"], server.get(path)["next_run"]) == (True, None)

    server.call("POST", f"{path}/resume")
    assert server.get(path)["next_run"] == "2026-11-23 13:00:00"


def test_plugins_are_replaced_kept_and_detached(
    server: Server, client: dict[str, Any], plans: str, minimal: dict[str, Any]
) -> None:
    one, two = hook(server, client, "one"), hook(server, client, "two")
    path = f"{plans}/{server.post(plans, minimal | {'plugins': {'5': one}})['id']}"

    server.call("PUT", path, {"prune_days": 1})
    assert [plugin["name"] for plugin in server.get(path)["plugins"]] == ["one"]
    server.call("PUT", path, {"plugins": [{"plugin_config_id": two}, {"plugin_config_id": one}]})
    assert [plugin["name"] for plugin in server.get(path)["plugins"]] == ["two", "one"]
    twice = {"plugins": [{"plugin_config_id": one}, {"plugin_config_id": one}]}
    assert server.call("PUT", path, twice).status_code == 400
    server.call("PUT", path, {"plugins": []})
    assert server.get(path)["plugins"] == []


def test_trigger_joins_nothing_twice(server: Server, plans: str, minimal: dict[str, Any]) -> None:
    path = f"{plans}/{server.post(plans, minimal)['id']}"
    job = server.post(f"{path}/trigger")

    again = server.call("POST", f"{path}/trigger")
    assert again.status_code == 409
    assert again.json["job_id"] == job["job_id"]


def test_deleting_a_plan_keeps_its_jobs(
    server: Server, client: dict[str, Any], plans: str, minimal: dict[str, Any]
) -> None:
    path = f"{plans}/{server.post(plans, minimal)['id']}"
    job = server.post(f"{path}/trigger")["job_id"]

    assert server.call("DELETE", path).status_code == 200
    assert server.call("DELETE", path).status_code == 404
    assert server.get(f"/clients/{client['id']}/jobs/{job}")["backup_plan_id"] is None


def test_a_name_finds_one_plan(server: Server, client: dict[str, Any], plans: str, minimal: dict[str, Any]) -> None:
    config = hook(server, client, "first")
    for name in ("nightly", "weekly"):
        server.post(plans, minimal | {"name": name, "plugins": [{"plugin_config_id": config}]})

    (found,) = server.get(f"{plans}?name=weekly")["plans"]

    assert found == server.get(f"{plans}/{found['id']}")
    assert server.get(f"{plans}?name=Weekly")["plans"] == []
