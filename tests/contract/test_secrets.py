# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canary values for every secret, in every place one can put them: they appear nowhere but in the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from documents import imported

from .declared import CASES, HOST, Case
from .harness import Harness, Transport
from .upstream import Answer

SECRET_FIELDS = [
    pytest.param(case, spec.option, id=f"{case}-{spec.option}")
    for case in CASES
    for spec in case.fields()
    if spec.secret
]


def echo(server: Any) -> Transport:
    """A server that answers each write with an error that repeats the whole request."""

    def transport(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method == "GET":
            answer: Answer = server.send(method, path, headers, body)
            return answer
        return Answer(500, {"error": f"cannot store {body.decode()} of {headers['Authorization']}"})

    return transport


def given(case: Case, option: str, value: str) -> dict[str, Any]:
    if option.startswith("config."):
        return {**case.create, "config": {**case.create["config"], option.removeprefix("config."): value}}
    return {**case.create, option: value}


@pytest.mark.parametrize(("case", "option"), SECRET_FIELDS)
def test_no_result_holds_a_secret(land: Harness, world: Any, case: Case, option: str) -> None:
    """Created, unchanged, changed, predicted, refused, repeated by the server: result, diff, message, invocation."""
    first, second = given(case, option, "CANARY-first"), given(case, option, "CANARY-second")
    said = [land(case.module, check=True, **case.key, **first)]
    land.transport = echo(world)
    said.append(land(case.module, **case.key, **first))
    assert said[-1]["failed"] and "cannot store" in said[-1]["msg"]
    land.transport = world.send
    said += [land(case.module, check, **case.key, **options) for options in (first, second) for check in (True, False)]
    said.append(land(case.module, **case.key, **first, unheard_of=1))
    said.append(land.ok(case.module, **case.key, state="absent"))
    assert "CANARY" not in str(said)


@pytest.mark.parametrize("way", ["worker", "module"], indirect=True)
@pytest.mark.parametrize("token", ["CANARY with blanks", "CANARY\nlines", "bbs_tok_CANARY"])
def test_no_message_holds_a_token(land: Harness, token: str) -> None:
    assert "CANARY" not in str(land("bbs_client", name=HOST, token=token))


@pytest.mark.parametrize("way", ["worker", "module"], indirect=True)
def test_a_password_in_the_url_is_refused_unseen(land: Harness) -> None:
    refused = land("bbs_client", name=HOST, url="https://operator:CANARY@bbs.example.org")
    assert refused["failed"] and "url must not hold a user or a password" in refused["msg"]
    assert "CANARY" not in str(refused)


def test_no_secret_is_left_out() -> None:
    """Every option that is declared secret is tried above, or in test_playbook.py; those of a fleet are the same."""
    modules = {case.module for case in CASES} | {"bbs_job", "bbs_info", "bbs_fleet"}
    declared = {
        name
        for module in modules
        for name, option in imported("modules", module).MODULE.argument_spec.items()
        if option.get("no_log")
    }
    assert declared == {"token", "passphrase", "config"}
