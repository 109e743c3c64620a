# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module against the bundled server when something is wrong: rights, network, load, lost and broken answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import requests

from .declared import CLIENT_CASE, HOST, PLAN_CASE, REPOSITORY_CASE, TOKEN_CASE, Options, plugin_cases
from .harness import Harness, Transport
from .upstream import Answer

HOOKS = next(case for case in plugin_cases() if case.key["plugin"] == "shell_hook")
CASES = (CLIENT_CASE, REPOSITORY_CASE, HOOKS, PLAN_CASE, TOKEN_CASE)
CHANGES: Mapping[str, Options] = {
    "bbs_client": {"new_name": "web3"},
    "bbs_repository": {"new_name": "renamed"},
    "bbs_plugin_config": {"config": {"timeout": 5}},
    "bbs_plan": {"directories": ["/srv"]},
}
ABSENT: Options = {"state": "absent"}
JOB: Options = {"client": HOST, "plan": "triggered", "wait": False}
HTML = Answer(200, "<b>Fatal error</b>: canary-of-the-database", "text/html; charset=UTF-8")


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest, land: Harness, world: Any) -> Iterator[Any]:
    yield request.param
    land.transport = world.send
    for name in (request.param.key["name"], "web3", "renamed"):
        land.ok(request.param.module, **{**request.param.key, "name": name}, state="absent")


@pytest.fixture
def triggered(land: Harness, world: Any) -> Iterator[Harness]:
    """A plan to trigger; whatever became of its job ends with the test."""
    land.ok("bbs_plan", client=HOST, name="triggered", **PLAN_CASE.create)
    yield land
    land.transport = world.send
    land.ok("bbs_job", **{**JOB, "state": "cancelled"})
    land.ok("bbs_plan", client=HOST, name="triggered", state="absent")


def steps(case: Any) -> Iterator[Options]:
    """The writes of an object's life, each as the options that ask for it."""
    yield {**case.key, **case.create}
    change = CHANGES.get(case.module)
    if change:
        yield {**case.key, **change}
    yield {**case.key, "name": (change or {}).get("new_name", case.key["name"]), **ABSENT}


def only_first(inner: Transport, spoil: Callable[[Answer], Answer]) -> Transport:
    """Let the first write reach the server, and spoil its answer."""
    spoilt: list[str] = []

    def transport(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = inner(method, path, headers, body)
        if method != "GET" and "dry_run" not in path and not spoilt:
            spoilt.append(path)
            return spoil(answer)
        return answer

    return transport


def lost(answer: Answer) -> Answer:
    raise requests.exceptions.ReadTimeout("slow")


def throttled(inner: Transport) -> Transport:
    """Answer each request with 429 first."""
    seen: set[tuple[str, str]] = set()

    def transport(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if (method, path) not in seen:
            seen.add((method, path))
            return Answer(429, {"error": "Too many requests."})
        return inner(method, path, headers, body)

    return transport


def test_429_then_success(case: Any, land: Harness, world: Any) -> None:
    for options in steps(case):
        land.transport = throttled(world.send)
        assert land.ok(case.module, **options)["changed"]
        land.transport = world.send
        assert not land.ok(case.module, **options)["changed"]


def test_timeout_after_the_write_happened(case: Any, land: Harness, world: Any) -> None:
    """The task looks whether it happened; nothing is made twice."""
    for options in steps(case):
        land.transport = only_first(world.send, lost)
        assert land.ok(case.module, **options)["changed"]
        land.transport = world.send
        assert not land.ok(case.module, **options)["changed"]


def test_an_answer_that_is_not_json(case: Any, land: Harness, world: Any) -> None:
    """A failure whatever the status, and no part of it is repeated; the next run finds what was done."""
    for options in steps(case):
        land.transport = only_first(world.send, lambda answer: HTML)
        message = land.fails(case.module, **options)
        assert "something that is not JSON (text/html)" in message and "canary" not in message
        land.transport = world.send
        again = land.ok(case.module, **options)
        assert not again["changed"] or case.module == "bbs_plan"
        assert not land.ok(case.module, **options)["changed"]


def test_wrong_scope(case: Any, land: Harness, world: Any) -> None:
    reader = world.mint(f"reader-{case}-{land.way}", scope="read")
    land.ok(case.module, **case.key, **case.create)
    before = world.call("GET", "/log?limit=1")["total"]
    for options in (CHANGES.get(case.module), ABSENT):
        if options:
            message = land.fails(case.module, **case.key, **options, token=reader)
            assert "may not do this" in message and reader not in message
    assert world.call("GET", "/log?limit=1")["total"] == before, "nothing was written"
    land.ok(case.module, **case.key, state="absent")
    assert "may not do this" in land.fails(case.module, **case.key, **case.create, token=reader)


def test_wrong_token(case: Any, land: Harness) -> None:
    message = land.fails(case.module, **case.key, **case.create, token="bbs_tok_wrong")
    assert "refuses the token" in message and "bbs_tok_wrong" not in message


@pytest.mark.parametrize("check", [False, True])
def test_down(case: Any, land: Harness, check: bool) -> None:
    message = land.fails(case.module, check, **case.key, **case.create, url="http://127.0.0.1:9", retries=0)
    assert message.startswith("Cannot reach the Borg Backup Server at http://127.0.0.1:9: connection refused.")


def quicker(land: Harness, world: Any, module: str, **options: Any) -> list[Options]:
    """Let another controller do its task after this one has looked, and before it creates."""
    made: list[Options] = []

    def transport(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method == "POST" and not made:
            way, land.way, land.transport = land.way, "worker", world.send
            made.append(land.ok(module, **options))
            land.way = way
        return world.send(method, path, headers, body)

    land.transport = transport
    return made


def test_two_controllers_at_once(case: Any, land: Harness, world: Any) -> None:
    """Both look and find nothing; who comes second meets 409, looks again, and finds what the first one made."""
    made = quicker(land, world, case.module, **case.key, **case.create)
    result = land.ok(case.module, **case.key, **case.create)
    assert made[0]["changed"] and not result["changed"]
    assert result["id"] == made[0]["id"]


def test_a_rival_who_wants_something_else(land: Harness, world: Any) -> None:
    """What the other controller made is brought into the state that this task asks for."""
    options = {"client": HOST, "name": "race", **PLAN_CASE.create}
    quicker(land, world, "bbs_plan", **{**options, "directories": ["/srv"]})
    result = land.ok("bbs_plan", **options)
    assert result["changed"] and result["diff"]["before"]["directories"] == ["/srv"]
    assert not land.ok("bbs_plan", **options)["changed"]
    land.ok("bbs_plan", client=HOST, name="race", state="absent")


class TestJobs:
    def test_429_then_success(self, triggered: Harness, world: Any) -> None:
        triggered.transport = throttled(world.send)
        assert triggered.ok("bbs_job", **JOB)["changed"]

    def test_timeout_after_the_write_happened(self, triggered: Harness, world: Any) -> None:
        triggered.transport = only_first(world.send, lost)
        first = triggered.ok("bbs_job", **JOB)
        second = triggered.ok("bbs_job", **JOB)
        assert (first["changed"], second["changed"]) == (True, False)
        assert first["id"] == second["id"]

    def test_an_answer_that_is_not_json(self, triggered: Harness, world: Any) -> None:
        triggered.transport = only_first(world.send, lambda answer: HTML)
        assert "not JSON" in triggered.fails("bbs_job", **JOB)
        assert not triggered.ok("bbs_job", **JOB)["changed"]

    def test_wrong_scope(self, triggered: Harness, world: Any) -> None:
        reader = world.mint(f"reader-job-{triggered.way}", scope="read")
        assert "may not do this" in triggered.fails("bbs_job", **JOB, token=reader)

    def test_down(self, triggered: Harness) -> None:
        assert "connection refused" in triggered.fails("bbs_job", **JOB, url="http://127.0.0.1:9", retries=0)


class TestInfo:
    def test_429_then_success(self, land: Harness, world: Any) -> None:
        land.transport = throttled(world.send)
        assert land.ok("bbs_info", client=HOST)["clients"]

    def test_an_answer_that_is_not_json(self, land: Harness) -> None:
        land.transport = lambda *request: HTML
        assert "not JSON" in land.fails("bbs_info")

    def test_a_reader_may_read(self, land: Harness, world: Any) -> None:
        reader = world.mint(f"reader-info-{land.way}", scope="read")
        assert land.ok("bbs_info", client=HOST, token=reader)["clients"]

    def test_down(self, land: Harness) -> None:
        assert "connection refused" in land.fails("bbs_info", url="http://127.0.0.1:9", retries=0)
