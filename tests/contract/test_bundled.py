# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module against the bundled server: create, again, change, check mode, clear, delete, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from .harness import Harness

CLIENT = {"name": "web1"}
REPOSITORY = {"client": "web1", "name": "main", "encryption": "none"}
CONFIG = {"client": "web1", "plugin": "mysql_dump", "name": "db"}
PLAN = {"client": "web1", "name": "daily"}
NEEDED = {"repository": "main", "directories": ["/etc"]}


@dataclass(frozen=True)
class Case:
    """A module with what it needs, how it creates, and each change that can be made.

    :param key: options that name the object
    :param create: options to create it with
    :param changes: option, new value, and what the diff shows then
    :param clears: options that null empties
    """

    module: str
    key: dict[str, Any]
    create: dict[str, Any] = field(default_factory=dict)
    changes: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = ()
    clears: tuple[tuple[str, Any], ...] = ()
    before: tuple[tuple[str, dict[str, Any]], ...] = ()

    def __str__(self) -> str:
        return self.module


_REPOSITORY = (("bbs_client", CLIENT), ("bbs_repository", REPOSITORY))
CASES = (
    Case("bbs_client", CLIENT, changes=(({"new_name": "web2"}, {"name": "web2"}),)),
    Case(
        "bbs_repository",
        {"client": "web1", "name": "Main Repo"},
        {"encryption": "none"},
        changes=(({"new_name": "Other Repo"}, {"name": "other-repo"}),),
        before=(("bbs_client", CLIENT),),
    ),
    Case(
        "bbs_plugin_config",
        CONFIG,
        {"config": {"user": "backup", "password": "first-secret", "port": 3307}},
        changes=(
            ({"config": {"port": 3308}}, {"config.port": 3308}),
            ({"config": {"compress": "no"}}, {"config.compress": False}),
            ({"config": {"exclude_databases": ["a", "b"]}}, {"config.exclude_databases": ["a", "b"]}),
            ({"config": {"databases": "app, crm"}}, {"config.databases": "app, crm"}),
        ),
        before=(("bbs_client", CLIENT),),
    ),
    Case(
        "bbs_plan",
        PLAN,
        {
            **NEEDED,
            "excludes": ["*.tmp"],
            "advanced_options": "--compression zstd",
            "day_of_week": "monday",
            "day_of_month": [15, "last"],
        },
        changes=(
            ({"directories": ["/srv", "/home"]}, {"directories": ["/srv", "/home"]}),
            ({"excludes": ["*.log"]}, {"excludes": ["*.log"]}),
            ({"advanced_options": "--noatime"}, {"advanced_options": "--noatime"}),
            ({"frequency": "hourly"}, {"frequency": "hourly"}),
            ({"frequency": "10min"}, {"frequency": "10min"}),
            ({"frequency": "weekly", "day_of_week": "sun"}, {"frequency": "weekly", "day_of_week": [0]}),
            ({"day_of_week": ["tuesday", "5"]}, {"day_of_week": [2, 5]}),
            ({"frequency": "monthly", "day_of_month": "1,2"}, {"day_of_month": ["1", "2"]}),
            ({"times": ["13:00", "1:30"]}, {"times": ["01:30", "13:00"]}),
            ({"timezone": "Europe/Berlin"}, {"timezone": "Europe/Berlin"}),
            ({"prune_minutes": 1}, {"prune_minutes": 1}),
            ({"prune_hours": 2}, {"prune_hours": 2}),
            ({"prune_days": 3}, {"prune_days": 3}),
            ({"prune_weeks": 0}, {"prune_weeks": 0}),
            ({"prune_months": -1}, {"prune_months": -1}),
            ({"prune_years": 9}, {"prune_years": 9}),
            ({"repository": "second"}, {"repository": "second"}),
            ({"plugin_configs": ["hooks", "db"]}, {"plugin_configs": ["hooks", "db"]}),
            ({"plugin_configs": ["db", "hooks"]}, {"plugin_configs": ["db", "hooks"]}),
            ({"new_name": "nightly"}, {"name": "nightly"}),
            ({"state": "paused"}, {"paused": True}),
        ),
        clears=(
            ("excludes", []),
            ("advanced_options", None),
            ("day_of_week", []),
            ("day_of_month", []),
        ),
        before=(
            *_REPOSITORY,
            ("bbs_repository", {**REPOSITORY, "name": "second"}),
            ("bbs_plugin_config", {**CONFIG, "config": {"password": "secret"}}),
            ("bbs_plugin_config", {**CONFIG, "plugin": "shell_hook", "name": "hooks", "config": {}}),
        ),
    ),
    Case("bbs_token", {"name": "deploy"}, {"scope": "provision"}),
)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest, fleet: Harness) -> Case:
    found: Case = request.param
    for module, options in found.before:
        fleet.ok(module, **options)
    return found


def test_create_predicted_made_and_kept(case: Case, fleet: Harness, server: Any) -> None:
    """Check mode says what the run does and sends nothing; the second run changes nothing."""
    writes = len(server.writes())
    predicted = fleet.ok(case.module, check=True, **case.key, **case.create)
    assert len(server.writes()) == writes
    made = fleet.ok(case.module, **case.key, **case.create)
    assert predicted["changed"] and made["changed"]
    assert predicted["diff"] == made["diff"]
    assert made["diff"]["before"] == {}
    again = fleet.ok(case.module, **case.key, **case.create)
    assert not again["changed"], again["diff"]
    assert made["diff"]["after"].items() <= again["diff"]["before"].items()
    assert made["id"] is not None
    assert again["id"] == made["id"]


def test_each_change(case: Case, fleet: Harness, server: Any) -> None:
    """Every option by itself: predicted, made, shown in the diff, kept."""
    for change, shown in case.changes:
        fleet.ok(case.module, **case.key, **case.create)
        writes = len(server.writes())
        predicted = fleet.ok(case.module, check=True, **case.key, **change)
        assert len(server.writes()) == writes
        made = fleet.ok(case.module, **case.key, **change)
        assert predicted["changed"] and made["changed"], change
        assert predicted["diff"] == made["diff"]
        assert shown.items() <= made["diff"]["after"].items()
        again = fleet.ok(case.module, **case.key, **change)
        assert not again["changed"], (change, again["diff"])
        assert again["diff"]["before"] == made["diff"]["after"]
        new_name = {"name": change["new_name"]} if "new_name" in change else {}
        fleet.ok(case.module, **{**case.key, **new_name, "state": "absent"})


def test_clear(case: Case, fleet: Harness) -> None:
    """Null empties what can be empty, once; leaving an option out keeps it."""
    fleet.ok(case.module, **case.key, **case.create)
    for option, empty in case.clears:
        cleared = fleet.ok(case.module, **case.key, **{option: None})
        assert cleared["changed"]
        assert cleared["diff"]["after"][option] == empty
        again = fleet.ok(case.module, **case.key, **{option: None})
        assert not again["changed"]
        assert again["diff"]["before"][option] == empty


def test_delete_twice(case: Case, fleet: Harness, server: Any) -> None:
    fleet.ok(case.module, **case.key, **case.create)
    writes = len(server.writes())
    assert fleet.ok(case.module, check=True, **case.key, state="absent")["changed"]
    assert len(server.writes()) == writes
    deleted = fleet.ok(case.module, **case.key, state="absent")
    assert deleted["changed"] and deleted["diff"]["after"] == {}
    assert not fleet.ok(case.module, **case.key, state="absent")["changed"]


def test_forbidden(case: Case, fleet: Harness, server: Any) -> None:
    reader = server.mint("reader", scope="read")
    message = fleet.fails(case.module, **case.key, **case.create, token=reader)
    assert "may not do this" in message
    assert reader not in message


def test_wrong_token(case: Case, fleet: Harness) -> None:
    message = fleet.fails(case.module, **case.key, **case.create, token="bbs_tok_wrong")
    assert "refuses the token" in message
    assert "bbs_tok_wrong" not in message


def test_down(case: Case, fleet: Harness) -> None:
    message = fleet.fails(case.module, **case.key, **case.create, url="http://127.0.0.1:9", retries=0)
    assert message.startswith("Cannot reach the Borg Backup Server at http://127.0.0.1:9: connection refused.")
