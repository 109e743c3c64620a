# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For any state and any wish: what is predicted is what happens, and the second run changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Ref
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Policy, reconcile, view
from ansible_collections.borgfleet.bbs.plugins.module_utils._schedule import DAYS, FREQUENCIES
from ansible_collections.borgfleet.bbs.plugins.module_utils.plans import PERIODS, PLAN
from ansible_collections.borgfleet.bbs.plugins.module_utils.plugin_configs import MASK, resource_of

names = st.text("abcdef ghi-", min_size=1).filter(lambda text: text.strip() != "")
paths = st.lists(st.text("/abc d", max_size=8), max_size=3)
counts = st.integers(-1, 400)
clock = st.tuples(st.integers(0, 23), st.integers(0, 59))
times = st.lists(clock.map(lambda t: f"{t[0]}:{t[1]:02d}"), min_size=1, max_size=3)
weekdays = st.lists(st.sampled_from([*DAYS, "mon", "0", "6"]), max_size=2)
monthdays = st.lists(st.sampled_from(["1", "15", "31", "last"]), max_size=3)
configs = st.lists(st.integers(1, 4), unique=True, max_size=3)
text = st.none() | st.text("ab -", max_size=6)

wishes = st.fixed_dictionaries(
    {},
    optional={
        "name": names,
        "repository": st.integers(1, 3).map(lambda number: Ref(number, f"repository {number}")),
        "directories": paths.map(lambda entries: [f"/{entry}" for entry in [*entries, ""]]),
        "excludes": st.none() | paths,
        "advanced_options": text,
        "frequency": st.sampled_from(FREQUENCIES),
        "times": times,
        "day_of_week": st.none() | weekdays,
        "day_of_month": st.none() | monthdays,
        "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
        "plugin_configs": st.none() | configs.map(lambda ids: [Ref(i, f"config {i}") for i in ids]),
        **{f"prune_{period}": counts for period in PERIODS},
    },
)
plans = st.fixed_dictionaries(
    {
        "id": st.just(1),
        "name": names.map(str.strip),
        "repository_id": st.integers(1, 3),
        "directories": st.sampled_from(["/etc", "/etc\n/home"]),
        "excludes": st.sampled_from([None, "*.tmp"]),
        "advanced_options": st.sampled_from([None, "", "--noatime"]),
        "frequency": st.sampled_from(FREQUENCIES),
        "times": st.sampled_from(["02:00", "13:00,02:00"]),
        "day_of_week": st.sampled_from([None, 0, 5, "1,3"]),
        "day_of_month": st.sampled_from([None, "1", "15,last"]),
        "timezone": st.just("UTC"),
        "plugins": configs.map(lambda ids: [{"plugin_config_id": i, "name": f"config {i}"} for i in ids]),
        "next_run": st.none(),
        "paused": st.booleans(),
        **{f"prune_{period}": counts for period in PERIODS},
    }
).map(lambda plan: {**plan, "repository_name": f"repository {plan['repository_id']}"})


def stored(before: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """What a plan is after the bundled server took a body."""
    after = {**before, **body}
    after["repository_name"] = f"repository {after['repository_id']}"
    after["plugins"] = [
        {"plugin_config_id": item["plugin_config_id"], "name": f"config {item['plugin_config_id']}"}
        for item in after["plugins"]
    ]
    return after


@given(plans, wishes)
def test_plan(plan: dict[str, Any], wish: dict[str, Any]) -> None:
    predicted = reconcile(PLAN, wish, plan)
    assert predicted.before == view(PLAN, plan)
    result = stored(plan, predicted.payload)
    assert view(PLAN, result) == predicted.after
    again = reconcile(PLAN, wish, result)
    assert not again.changed
    assert again.before == again.after == predicted.after


@given(plans, wishes)
def test_body_holds_no_more_than_needed(plan: dict[str, Any], wish: dict[str, Any]) -> None:
    """Whatever is sent was given, or accompanies a change of the schedule."""
    outcome = reconcile(PLAN, wish, plan)
    sent = {f.option for f in PLAN.fields if f.key in outcome.payload}
    assert sent <= set(wish) | set(PLAN.together)
    assert bool(outcome.payload) == outcome.changed


SCHEMA = {
    "host": {"type": "text"},
    "port": {"type": "number"},
    "compress": {"type": "checkbox"},
    "exclude": {"type": "tags"},
    "mode": {"type": "select", "options": {"a": "", "b": ""}},
    "password": {"type": "text", "sensitive": True},
}
values = {
    "host": st.text("ab", max_size=3),
    "port": st.integers(1, 9) | st.integers(1, 9).map(str),
    "compress": st.sampled_from([True, False, "yes", "no"]),
    "exclude": st.lists(st.sampled_from(["a", "b"])) | st.sampled_from(["a,b", "a , b", ""]),
    "mode": st.sampled_from(["a", "b"]),
    "password": st.text("xyz", min_size=1, max_size=3),
}
settings = st.fixed_dictionaries({}, optional=values)


@given(settings, settings)
def test_plugin_config(has: dict[str, Any], wants: dict[str, Any]) -> None:
    resource = resource_of(SCHEMA, has)
    secret = has.get("password")
    current = {"id": 1, "name": "x", "config": {**has, **({"password": MASK} if secret else {})}}
    differing = {"config.password"} if "password" in wants and wants["password"] != secret else set()
    wish = {f"config.{key}": value for key, value in wants.items()}
    outcome = reconcile(resource, wish, current, Policy(differing_secrets=frozenset(differing)))
    if "password" in outcome.payload:
        secret = outcome.payload["password"]
    after = {**current["config"], **outcome.payload, **({"password": MASK} if secret else {})}
    result = {**current, "config": after}
    seen = view(resource, result)
    expected = {key: "(set)" if value == "(changed)" else value for key, value in outcome.after.items()}
    assert seen == expected
    assert not reconcile(resource, wish, result, Policy(differing_secrets=frozenset())).changed
    assert MASK not in outcome.payload.values()
