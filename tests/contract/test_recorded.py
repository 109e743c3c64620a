# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream's quirks, each met with the answers that upstream really gave (shared/reference, admin-api.md §10)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from recordings import ADMIN, OLDER, Exchange, load

from .harness import Harness
from .upstream import Answer

HOST = "second-key"
PLAN = {"client": HOST, "name": "min"}
CLIENTS = ("GET", r"/clients", "clients: list")
REPOSITORIES = ("GET", r"/clients/\d+/repositories", "repos: list")
PLANS = ("GET", r"/clients/\d+/plans", 'plan: list after update frequency "daily"')
SCHEDULES = ("GET", r"/schedules", "undocumented: schedules")
SCHEMA = ("GET", r"/plugins/schema", "plugins: schema")
CONFIGS = ("GET", r"/clients/\d+/plugin-configs", "plugin-configs: list masked")
DISCOVERY = ("GET", r"/auth/discover", "route: unknown path")


class Recording:
    """Answers requests with recorded exchanges, and keeps what was sent."""

    def __init__(self, file: str) -> None:
        self.older = file == OLDER
        self.exchanges = {exchange.name: exchange for exchange in load(file)}
        self.rules: list[tuple[str, str, list[Answer]]] = []
        self.sent: list[tuple[str, str, Any]] = []

    def play(self, *rules: tuple[str, ...]) -> None:
        """Method, pattern of the path, and the names of the exchanges that answer, the last one again and again."""
        for method, pattern, *names in rules:
            self.rules.append((method, pattern, [answer_of(self.exchanges[name]) for name in names]))

    def __call__(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> Answer:
        bare = path.removeprefix("/api/v1").partition("?")[0]
        self.sent.append((method, bare, json.loads(raw) if raw else None))
        for verb, pattern, answers in self.rules:
            if verb == method and re.fullmatch(pattern, bare):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        raise AssertionError(f"no recorded answer to {method} {bare}")

    def writes(self) -> list[tuple[str, str, Any]]:
        return [entry for entry in self.sent if entry[0] != "GET"]


def answer_of(exchange: Exchange) -> Answer:
    if exchange.answer is not None:
        return Answer(exchange.status, exchange.answer)
    return Answer(exchange.status, exchange.text, "text/html; charset=UTF-8")


@pytest.fixture(params=[ADMIN, OLDER], ids=["2.91", "2.26"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param)


@pytest.fixture
def bbs(recording: Recording, way: str, monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(way, recording, "TOKEN", monkeypatch)


def test_a_new_plan_is_armed_by_a_second_request(bbs: Harness, recording: Recording) -> None:
    recording.play(CLIENTS, REPOSITORIES, SCHEDULES)
    recording.play(("GET", PLANS[1], "plans: list empty", PLANS[2]))
    recording.play(("POST", PLANS[1], "plan: create minimal"), ("PUT", r".*/plans/2", 'plan: update frequency "daily"'))
    options = {**PLAN, "repository": "daily-backup", "directories": ["/etc"], "timezone": "Europe/Berlin"}
    assert bbs.ok("bbs_plan", **options)["changed"]
    (created, armed) = recording.writes()
    assert created[2]["repository_id"] == 1 and created[2]["directories"] == "/etc"
    assert armed[:2] == ("PUT", "/clients/17/plans/2")
    assert armed[2] == {"frequency": "daily", "times": "02:00", "timezone": "Europe/Berlin"}


def test_201_with_a_warning_is_rolled_back(bbs: Harness, recording: Recording) -> None:
    recording.play(CLIENTS, REPOSITORIES)
    recording.play(("POST", REPOSITORIES[1], "repo: create default"), ("DELETE", r".*/repositories/1", "repo: delete"))
    result = bbs("bbs_repository", client=HOST, name="new")
    verbs = [(method, path) for method, path, _ in recording.writes()]
    if recording.older:
        assert "borg could not initialise it: Repository created in database but borg init failed" in result["msg"]
        assert verbs[-1] == ("DELETE", "/clients/17/repositories/1")
    else:
        assert result["changed"] and len(verbs) == 1


def test_slugs(recording: Recording, bbs: Harness) -> None:
    from ansible_collections.borgfleet.bbs.plugins.module_utils._field import slug

    made = [e for name, e in recording.exchanges.items() if name.startswith("repo: create") and e.worked]
    named = [e for e in made if isinstance(e.body.get("name"), str)]
    assert len(named) > 15
    assert [slug(e.body["name"]) for e in named] == [e.answer["name"] for e in named]
    recording.play(CLIENTS, REPOSITORIES)
    assert not bbs.ok("bbs_repository", client=HOST, name="Main Repo (2026) v1.0")["changed"]


def test_renaming_to_the_same_name_is_never_asked_for(recording: Recording, bbs: Harness) -> None:
    """Upstream fails on it: the folder is there already."""
    recording.play(CLIENTS, REPOSITORIES)
    result = bbs.ok("bbs_repository", client=HOST, name="Custom Pass", new_name="CUSTOM-pass")
    assert not result["changed"] and recording.writes() == []


def test_plan_lists_without_retention_or_plugins(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, REPOSITORIES, PLANS, SCHEDULES, CONFIGS)
    options = {"prune_days": 7, "plugin_configs": ["Hooks"], "timezone": "UTC"}
    result = bbs.ok("bbs_plan", **PLAN, **options)
    assert not result["changed"] and recording.writes() == []
    unknown = "timezone, prune_days, plugin_configs" if recording.older else "timezone, plugin_configs"
    assert f"This server does not tell {unknown} of the plan min" in str(result["warnings"])


def test_unreadable_options_are_sent_when_told(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, REPOSITORIES, PLANS, SCHEDULES, CONFIGS)
    recording.play(("PUT", r".*/plans/2", 'plan: update frequency "daily"'))
    recording.play(("POST", r".*/plans/2/resume", "plan: resume again"))
    result = bbs.ok("bbs_plan", **PLAN, plugin_configs=["Hooks"], update_unreadable=True)
    assert result["changed"]
    assert [body for _, _, body in recording.writes()] == [{"plugins": [{"plugin_config_id": 3}]}, {}]


def test_masks_are_never_written_back(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, SCHEMA, CONFIGS, DISCOVERY)
    recording.play(("PUT", r".*/plugin-configs/5", "undocumented: plugin-config update unknown"))
    config = {"client": HOST, "plugin": "mongo_dump", "name": "Mongo"}
    message = bbs.fails("bbs_plugin_config", **config, config={"password": "********"})
    assert "how the server hides a secret" in message and recording.writes() == []
    message = bbs.fails("bbs_plugin_config", **config, config={"host": "db"})
    assert recording.writes()[0][2] == {"config": {"host": "db"}}
    assert ("too old to change it" if recording.older else "not found") in message


@pytest.mark.parametrize("name", ["int config", "list config", "string config", "null config"])
def test_configs_that_are_none(recording: Recording, bbs: Harness, name: str) -> None:
    """Upstream stores whatever it is given; what is no object has no settings."""
    recording.play(CLIENTS, SCHEMA, CONFIGS, DISCOVERY)
    result = bbs.ok("bbs_plugin_config", True, client=HOST, plugin="mysql_dump", name=name, config={"host": "db"})
    assert result["changed"] and result["diff"]["after"]["config.host"] == "db"


def test_nulls_are_never_sent(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, REPOSITORIES, SCHEDULES, ("GET", PLANS[1], "plan: list after update dow null keeps"))
    message = bbs.fails("bbs_plan", client=HOST, name="daily-full", frequency="daily", day_of_week=None)
    assert "day_of_week cannot be cleared: this server ignores null" in message
    assert recording.writes() == []


def test_duplicate_names(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS)
    message = bbs.fails("bbs_client", name="web-server-01")
    assert message == "There are 2 clients named web-server-01 (ids 1, 2): rename or remove all but one."


def test_a_body_that_is_no_json(recording: Recording, bbs: Harness) -> None:
    """An uncaught error upstream: no body, or a page."""
    recording.play(CLIENTS, REPOSITORIES, SCHEDULES, ("GET", PLANS[1], "plans: list empty"))
    recording.play(("POST", PLANS[1], "plan: create directories array"))
    message = bbs.fails("bbs_plan", **PLAN, repository="daily-backup", directories=["/etc"])
    assert "failed on POST /api/v1/clients/17/plans (HTTP 500) and gives no reason. Its log has it." in message


def test_plans_in_the_way(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, REPOSITORIES)
    recording.play(("DELETE", r".*/repositories/1", "repo: delete with plans (and jobs)"))
    message = bbs.fails("bbs_repository", client=HOST, name="daily-backup", state="absent")
    expected = "has backup plans attached" if recording.older else "in use by these plans: daily-full, min"
    assert expected in message


def test_gone_already_is_as_good(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, ("DELETE", r"/clients/17", "client: delete again"))
    assert bbs.ok("bbs_client", name=HOST, state="absent")["changed"]


def test_429_passes(recording: Recording, bbs: Harness) -> None:
    recording.play(("GET", r"/clients", "rate limit: good token while limited", "clients: list"))
    assert not bbs.ok("bbs_client", True, name="gone", state="absent")["changed"]
    assert len(recording.sent) == 2


def test_429_stays(recording: Recording, bbs: Harness) -> None:
    recording.play(("GET", r"/clients", "rate limit: good token while limited"))
    message = bbs.fails("bbs_client", name="gone")
    assert "refuses requests from here for now" in message and "Wait up to five minutes." in message
    assert len(recording.sent) == 4, "once and three retries"


def test_a_busy_plan_is_joined(recording: Recording, bbs: Harness) -> None:
    recording.play(CLIENTS, PLANS, ("POST", r".*/trigger", "plan: trigger twice"))
    recording.play(("GET", r"/clients/\d+/jobs", "jobs: list queued"), ("GET", r".*/jobs/\d+", "job: get queued"))
    result = bbs.ok("bbs_job", client=HOST, plan="min", wait=False)
    assert not result["changed"] and result["job"]["status"] == "queued"
