# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every field of every declaration against the bundled server: made, kept, changed, cleared, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.borgfleet.bbs.plugins.module_utils import clients
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field
from ansible_collections.borgfleet.bbs.plugins.module_utils._moment import utc_now

from .declared import CASES, HOST, PLAN_CASE, REPOSITORY_CASE, Case, Options, printed
from .harness import Harness

Begin = Callable[[Case], "Life"]
FIELDS = [pytest.param(case, spec, id=f"{case}-{spec.option}") for case in CASES for spec in case.fields()]


class Life:
    """One object through its life; every write is predicted first, and repeated after."""

    def __init__(self, run: Harness, server: Any, case: Case) -> None:
        self.run = run
        self.server = server
        self.case = case
        self.key = dict(case.key)

    def step(self, **options: Any) -> Options:
        """Predict, do, repeat; the result of doing it."""
        module, before = self.case.module, len(self.server.writes())
        predicted = self.run.ok(module, check=True, **self.key, **options)
        assert [entry for entry in self.server.writes()[before:] if "dry_run" not in entry[1]] == []
        made = self.run.ok(module, **self.key, **options)
        assert predicted["changed"] and made["changed"], options
        assert predicted["diff"] == made["diff"]
        again = self.run.ok(module, **self.key, **options)
        assert not again["changed"], (options, again["diff"])
        assert again["diff"]["before"] == again["diff"]["after"]
        known = {k: v for k, v in settled(made["diff"]["after"]).items() if k not in self.case.unreadable}
        assert known.items() <= again["diff"]["before"].items()
        assert again.get("id") == made.get("id")
        assert "canary" not in str((predicted, {**made, "passphrase": None}, again))
        return made

    def refused(self, **options: Any) -> str:
        """A task that fails in check mode as it does outside it, and sends nothing."""
        before = self.server.writes()[:]
        messages = {self.run.fails(self.case.module, check, **self.key, **options) for check in (True, False)}
        assert self.server.writes() == before
        (message,) = messages
        return message


@pytest.fixture
def live(land: Harness, world: Any) -> Iterator[Begin]:
    """Begins lives, and ends those that a failed test has left."""
    begun: list[Life] = []

    def begin(case: Case) -> Life:
        begun.append(Life(land, world, case))
        return begun[-1]

    yield begin
    for life in begun:
        land.ok(life.case.module, **life.key, state="absent")


def settled(view: Options) -> Options:
    """A diff's text, as it reads once the change has been made."""
    return {key: "(set)" if value == "(changed)" else value for key, value in view.items()}


@pytest.mark.parametrize(("case", "spec"), FIELDS)
def test_a_fields_life(case: Case, spec: Field, land: Harness, live: Begin) -> None:
    """Create, again, change, clear, delete, delete again; each in check mode first, each with its diff."""
    life = live(case)
    if spec.option == "remote_ssh_config":
        # What lies on a third party's server stays there, and in the way of another of that name.
        life.key["name"] = f"remote-{land.way}"
    first, second = case.values(spec)
    made = life.step(**case.setting(spec, first))
    assert made["diff"]["before"] == {}
    assert made["diff"]["after"][spec.option] == printed(spec, first)
    if spec.mutable:
        changed = life.step(**case.changing(spec, second))
        expected = "(changed)" if spec.secret else printed(spec, second)
        assert changed["diff"]["after"][spec.option] == expected
        assert {**made["diff"]["after"], spec.option: expected}.items() <= changed["diff"]["after"].items()
        if spec.option == "name":
            life.key["name"] = second
        clear(life, spec)
    elif spec.option in case.unreadable:
        assert not land.ok(case.module, **life.key, **case.setting(spec, second))["changed"], "it cannot be compared"
    elif spec.option != "name":
        message = life.refused(**case.changing(spec, second))
        assert message.startswith(f"{spec.option} of an existing {case.resource.name} cannot be changed: it is ")
        assert "state=absent" in message
    gone = life.step(state="absent")
    assert gone["diff"]["after"] == {}


def clear(life: Life, spec: Field) -> None:
    """Null empties what can be empty; elsewhere it is refused with what to do instead."""
    if spec.option == "name":
        return
    if spec.clearable:
        assert life.step(**{spec.option: None})["diff"]["after"][spec.option] == spec.empty
    elif spec.option.startswith("config."):
        assert f"{spec.option} is null: leave it out" in life.refused(config={spec.key: None})
    else:
        expected = "must be one of" if spec.spec.get("choices") else "cannot be cleared: leave the option out"
        assert expected in life.refused(**{spec.option: None})


def test_no_field_is_left_out() -> None:
    """What no option sets by itself is tried by name below."""
    others = {f.option for case in CASES for f in case.resource.fields} - {p.values[1].option for p in FIELDS}  # type: ignore[attr-defined]
    assert others == {"enabled", "paused"}


@pytest.mark.parametrize("frequency", PLAN_CASE.resource.argument_spec()["frequency"]["choices"])
def test_every_frequency(frequency: str, live: Begin) -> None:
    days: Options = {"weekly": {"day_of_week": "Sunday"}, "monthly": {"day_of_month": ["last"]}}.get(frequency, {})
    life = live(PLAN_CASE)
    made = life.step(**PLAN_CASE.create, frequency=frequency, **days)
    assert (made["plan"]["next_run"] is None) == (frequency == "manual")
    other = "daily" if frequency == "manual" else "manual"
    assert (life.step(frequency=other)["plan"]["next_run"] is None) == (other == "manual")


@pytest.mark.parametrize(("written", "number"), [("Sunday", 0), ("mon", 1), ("6", 6)])
def test_friendly_days(live: Begin, written: str, number: int) -> None:
    life = live(PLAN_CASE)
    made = life.step(**PLAN_CASE.create, frequency="weekly", day_of_week=written)
    assert made["plan"]["day_of_week"] == number


def test_pause_and_resume(live: Begin) -> None:
    life = live(PLAN_CASE)
    life.step(**PLAN_CASE.create)
    paused = life.step(state="paused")
    assert paused["diff"]["after"]["paused"] and paused["plan"]["next_run"] is None
    life.step(state="paused", times=["04:00"])
    resumed = life.step()
    assert not resumed["diff"]["after"]["paused"] and resumed["plan"]["next_run"].endswith("04:00:00")


def test_present_switches_on(world: Any, live: Begin) -> None:
    """A plan that somebody switched off does not follow its schedule, which is what present means."""
    life = live(PLAN_CASE)
    plan = life.step(**PLAN_CASE.create)["plan"]
    (host,) = world.call("GET", f"/clients?name={HOST}")["clients"]
    world.call("PUT", f"/clients/{host['id']}/plans/{plan['id']}", {"enabled": False})
    on = life.step()
    assert (on["diff"]["before"]["enabled"], on["diff"]["after"]["enabled"]) == (False, True)
    assert on["plan"]["next_run"]


def test_replace_goes_back_to_defaults(live: Begin) -> None:
    case = next(case for case in CASES if case.key.get("plugin") == "mysql_dump")
    life = live(case)
    life.step(config={"password": "canary", "port": 3307, "host": "db"})
    assert life.step(config={"host": "db"}, replace=True)["plugin_config"]["config"]["port"] == 3306
    assert life.step(config={"password": "canary-2"})["diff"]["after"]["config.password"] == "(changed)"


@pytest.mark.parametrize(
    ("module", "options", "reason"),
    [
        ("bbs_plan", {"repository": " ", "directories": ["/etc"]}, "repository must not be empty."),
        ("bbs_plan", {**PLAN_CASE.create, "plugin_configs": [""]}, "plugin config must not be empty."),
        ("bbs_job", {"name": ..., "plan": ""}, "plan must not be empty."),
        ("bbs_job", {"name": ..., "plan": " ", "state": "cancelled"}, "plan must not be empty."),
        ("bbs_repository", {"passphrase": ""}, "passphrase: must not be empty."),
        ("bbs_token", {"client": ..., "dest": ""}, "dest must not be empty"),
        ("bbs_repository", {"storage_location": ""}, "storage location must not be empty."),
    ],
)
def test_what_is_blank_is_named(land: Harness, module: str, options: Options, reason: str) -> None:
    for check in (True, False):
        assert reason in land.fails(module, check, **{"client": HOST, "name": "new", **options})


@pytest.mark.parametrize(
    ("module", "options", "kind"),
    [
        ("bbs_plan", {**PLAN_CASE.create, "repository": "²"}, "repository"),
        ("bbs_plan", {**PLAN_CASE.create, "client": "²"}, "client"),
        ("bbs_repository", {"storage_location": "²"}, "storage location"),
    ],
)
def test_a_digit_is_not_always_a_number(land: Harness, module: str, options: Options, kind: str) -> None:
    assert f"There is no {kind} named ² on" in land.fails(module, **{"client": HOST, "name": "new", **options})


def test_blank_names_mean_nothing_new(land: Harness) -> None:
    made = land.ok("bbs_client", name=" blank ", new_name=" ")
    assert made["changed"] and made["client"]["name"] == "blank"
    assert not land.ok("bbs_client", name="blank", new_name="")["changed"]
    assert land.ok("bbs_info", client=" blank ")["clients"][0]["name"] == "blank"
    assert "repository must not be empty." in land.fails("bbs_info", gather=["repositories"], repository=" ")
    land.ok("bbs_client", name="blank", state="absent")


def test_what_is_returned(land: Harness) -> None:
    """A creation returns what the server answers to it, everything else the whole object, as it is from then on."""
    assert set(land.ok("bbs_client", name="told")["client"]) == {"id", "name", "status"}
    one: Options = {"client": "told", "name": "one", "encryption": "none"}
    made = land.ok("bbs_repository", **one)["repository"]
    assert set(made) == {"id", "name", "path", "encryption", "storage_type"}
    assert made.items() <= land.ok("bbs_repository", **one)["repository"].items()
    renamed = land.ok("bbs_repository", **one, new_name="two")["repository"]
    assert renamed["path"] == made["path"].replace("one", "two")
    assert land.ok("bbs_repository", client="told", name="two")["repository"] == renamed
    hook: Options = {"client": "told", "plugin": "shell_hook", "name": "hook", "config": {"timeout": 5}}
    assert land.ok("bbs_plugin_config", **hook)["plugin_config"]["config"] == {"timeout": 5}
    assert set(land.ok("bbs_plugin_config", **hook)["plugin_config"]["config"]) > {"timeout"}
    land.ok("bbs_client", name="told", state="absent")


def test_keep_data(land: Harness, live: Begin) -> None:
    """What stays on the disk stands in the way of a repository of the same name."""
    life = live(REPOSITORY_CASE)
    life.key["name"] = f"kept-{land.way}"
    life.step(encryption="none")
    life.step(state="absent", keep_data=True)
    assert "already exists" in land.fails("bbs_repository", **life.key)


def test_plans_are_removed_only_when_told(land: Harness, live: Begin) -> None:
    life = live(REPOSITORY_CASE)
    life.step(encryption="none")
    for name in ("one", "two"):
        land.ok("bbs_plan", client=HOST, name=name, repository="Main Repo", directories=["/etc"])
    message = land.fails("bbs_repository", **life.key, state="absent")
    assert "in use by these plans: one, two. Remove them first, or set delete_plans to true." in message
    life.step(state="absent", delete_plans=True)
    assert land.ok("bbs_info", gather=["plans"], client=HOST)["plans"] == []


def test_a_busy_client_is_removed_only_by_force(land: Harness, world: Any) -> None:
    land.ok("bbs_client", name="busy")
    land.ok("bbs_repository", client="busy", name="main", encryption="none")
    land.ok("bbs_plan", client="busy", name="daily", repository="main", directories=["/etc"])
    land.ok("bbs_job", client="busy", plan="daily", wait=False)
    assert "cancel them with bbs_job, or set force to true" in land.fails("bbs_client", name="busy", state="absent")
    assert land.ok("bbs_client", name="busy", state="absent", force=True)["changed"]


def test_a_key_is_rotated_with_an_overlap(land: Harness, world: Any) -> None:
    def works(key: str) -> bool:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return bool(world.send("POST", "/api/agent/heartbeat", headers, b"{}").status == 200)

    first = land.ok("bbs_client", name="rotated")["api_key"]
    rotation: Options = {"name": "rotated", "rotate_key": True, "overlap_hours": 24}
    assert land.ok("bbs_client", check=True, **rotation)["changed"] and works(first)
    second = land.ok("bbs_client", **rotation)
    assert second["changed"] and second["diff"]["after"]["api_key"] == "(changed)"
    assert second["api_key"] in second["install_command"] and first not in str(second)
    assert works(first) and works(second["api_key"]) and not works(first)

    third = land.ok("bbs_client", name="rotated", rotate_key=True)["api_key"]
    assert works(third) and not works(second["api_key"])
    for check in (True, False):
        message = land.fails("bbs_client", check, name="rotated", rotate_key=True, overlap_hours=721)
        assert "overlap_hours must be from 0 to 720." in message
    assert works(third)
    assert not land.ok("bbs_client", name="rotated", overlap_hours=24)["changed"], "without rotate_key it means nothing"
    land.ok("bbs_client", name="rotated", state="absent")


def test_a_key_is_replaced_once_it_is_old(land: Harness, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def register(key: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        assert world.send("POST", "/api/agent/register", headers, b"{}").status == 200

    def in_days(days: int) -> None:
        monkeypatch.setattr(clients, "utc_now", lambda: utc_now() + timedelta(days=days))

    task: Options = {"name": "aging", "rotate_key_after_days": 90, "overlap_hours": 24}
    first = land.ok("bbs_client", **task)["api_key"]
    in_days(91)
    unused = land.ok("bbs_client", **task)
    assert not unused["changed"] and unused["api_key"] == first, "an agent has yet to come with it"
    register(first)
    in_days(89)
    young = land.ok("bbs_client", **task)
    assert not young["changed"] and young["client"]["registered_at"] and young["api_key"] is None

    in_days(91)
    seen = len(world.writes())
    assert land.ok("bbs_client", check=True, **task)["changed"] and len(world.writes()) == seen
    replaced = land.ok("bbs_client", **task)
    assert replaced["changed"] and replaced["api_key"] not in (None, first)
    again = land.ok("bbs_client", **task)
    assert not again["changed"] and again["api_key"] == replaced["api_key"]
    assert "rotate_key_after_days must be at least 1." in land.fails(
        "bbs_client", name="aging", rotate_key_after_days=0
    )
    land.ok("bbs_client", name="aging", state="absent")


@pytest.mark.parametrize("taken", ["other", "Other"])
def test_rename_onto_another(land: Harness, world: Any, taken: str) -> None:
    for name in ("one", "other"):
        land.ok("bbs_plugin_config", client=HOST, plugin="shell_hook", name=name, config={})
    both = land("bbs_plugin_config", client=HOST, plugin="shell_hook", name="one", new_name=taken)
    assert both.get("failed", False) == (taken == "other")
    for name in ("one", "other", "Other"):
        land.ok("bbs_plugin_config", client=HOST, plugin="shell_hook", name=name, state="absent")


@pytest.mark.parametrize(
    ("module", "options", "most"),
    [
        ("bbs_client", {"name": HOST}, 2),
        ("bbs_repository", {"client": HOST, "name": "main"}, 1),
        ("bbs_repository", {"client": HOST, "name": "main", "storage_location": "Default"}, 2),
        ("bbs_plugin_config", {"client": HOST, "plugin": "mysql_dump", "name": "db", "config": {"port": 3306}}, 2),
        ("bbs_plan", {"client": HOST, "name": "few", **PLAN_CASE.create}, 1),
        ("bbs_token", {"name": "few"}, 1),
    ],
)
def test_few_requests(land: Harness, world: Any, module: str, options: Options, most: int) -> None:
    """A filtered GET for the client with the lists that the task looks into, and nothing more of it."""
    land.ok(module, **options)
    world.log.clear()
    assert not land.ok(module, **options)["changed"]
    assert len(world.log) == most, world.log
    lists = [path for _, path in world.log if path.endswith(("/clients", "/plans", "/repositories", "/tokens"))]
    assert lists == []
    if module in ("bbs_plan", "bbs_token"):
        land.ok(module, **{key: options[key] for key in ("client", "name") if key in options}, state="absent")
