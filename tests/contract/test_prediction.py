# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For any state and any wish, on the real server: what check mode predicts is what comes about, and it stays so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field

from .declared import CASES, Case, Options
from .harness import Harness

EXAMPLES = {"bbs_repository": 3, "bbs_plan": 40, "bbs_plugin_config": 8}
OTHERS = 5


@pytest.fixture(scope="module")
def run(world: Any) -> Iterator[Harness]:
    """Runs modules as the controller's worker does; test_bundled.py tries both ways."""
    with pytest.MonkeyPatch.context() as patch:
        yield Harness("worker", world.send, world.token, patch)


def value_of(case: Case, spec: Field) -> st.SearchStrategy[Any]:
    """What a playbook may write for a field, null included."""
    known = st.sampled_from(case.values(spec))
    cleared: st.SearchStrategy[Any] = st.none() if spec.clearable else st.nothing()
    return (known | st.integers(1, 99) if spec.type == "int" and spec.argument else known) | cleared


def wishes(case: Case) -> st.SearchStrategy[Options]:
    """Some options of a task, each with some value."""
    fields = [f for f in case.fields() if f.option not in ("name", "remote_ssh_config", "storage_type")]
    flat = st.fixed_dictionaries({}, optional={f.option: value_of(case, f) for f in fields})
    paused = {"state": st.sampled_from(["present", "paused"])} if case.module == "bbs_plan" else {}
    return st.builds(lambda options, state: {**nested(options), **state}, flat, st.fixed_dictionaries(paused))


def nested(options: Options) -> Options:
    config = {key.removeprefix("config."): value for key, value in options.items() if key.startswith("config.")}
    rest = {key: value for key, value in options.items() if not key.startswith("config.")}
    return {**rest, "config": config} if config else rest


def creation(case: Case, wish: Options) -> Options:
    config = {**case.create.get("config", {}), **wish.get("config", {})}
    return {**case.create, **wish, **({"config": config} if config else {})}


def settled(view: Options) -> Options:
    return {key: "(set)" if value == "(changed)" else value for key, value in view.items()}


def check(run: Harness, case: Case, has: Options | None, wish: Options) -> None:
    """Bring about a state, then predict, do and repeat a wish."""
    task, key = case.module, dict(case.key)
    run.ok(task, **key, state="absent")
    exists = has is not None and not run(task, **key, **creation(case, has)).get("failed")
    options = wish if exists else creation(case, wish)

    predicted, made = run(task, True, **key, **options), run(task, **key, **options)
    assert predicted.get("failed") == made.get("failed"), (predicted, made)
    if made.get("failed"):
        assert predicted["msg"] == made["msg"]
        return
    assert (predicted["changed"], predicted["diff"]) == (made["changed"], made["diff"])

    again = run.ok(task, **key, **options)
    assert not again["changed"], again["diff"]
    after = {k: v for k, v in settled(made["diff"]["after"]).items() if exists or k not in case.unreadable}
    real = again["diff"]["before"]
    assert after == (real if exists else {k: real[k] for k in after})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prediction(case: Case, run: Harness) -> None:
    @settings(
        max_examples=EXAMPLES.get(case.module, OTHERS),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.none() | wishes(case), wishes(case))
    def holds(has: Options | None, wish: Options) -> None:
        check(run, case, has, wish)

    holds()
    run.ok(case.module, **case.key, state="absent")
