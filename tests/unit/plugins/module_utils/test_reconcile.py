# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: what is sent, what is shown, and what counts as a change."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import Immutable, InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import (
    Field,
    Ref,
    lines,
    lines_from_wire,
    lines_to_wire,
    same_text_or_none,
    text_or_empty,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome, Policy, reconcile
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource

THING = Resource(
    name="thing",
    collection="/things",
    items="things",
    together=("frequency", "zone", "day"),
    honours_null=lambda obj: bool(obj.get("modern")),
    fields=(
        Field("name"),
        Field("kind", mutable=False),
        Field(
            "paths",
            normalise=lines,
            from_wire=lines_from_wire,
            to_wire=lines_to_wire,
            clearable=True,
            empty=[],
        ),
        Field(
            "extra",
            normalise=same_text_or_none,
            from_wire=same_text_or_none,
            to_wire=text_or_empty,
            clearable=True,
        ),
        Field("password", secret=True),
        Field("frequency"),
        Field("zone"),
        Field("day", clearable=True),
        Field("owner", wire="owner_id", read=lambda obj: Ref(obj["owner_id"], "who"), to_wire=lambda r: r.id),
        Field("paused", argument=False, sent=False),
    ),
)
CURRENT = {
    "id": 1,
    "name": "a",
    "kind": "x",
    "paths": "/etc\n/home",
    "extra": None,
    "password": "********",
    "frequency": "daily",
    "day": 2,
    "owner_id": 5,
    "paused": False,
}


def update(desired: dict[str, Any], policy: Policy | None = None, **current: Any) -> Outcome:
    return reconcile(THING, desired, {**CURRENT, **current}, policy)


def test_absent_and_missing_is_nothing() -> None:
    assert reconcile(THING, None, None) == Outcome()


def test_delete_shows_what_goes() -> None:
    outcome = reconcile(THING, None, CURRENT)
    assert (outcome.action, outcome.after, outcome.payload) == ("delete", {}, {})
    assert outcome.before["paths"] == ["/etc", "/home"]
    assert outcome.before["password"] == "(set)"


def test_create_sends_what_is_given_only() -> None:
    outcome = reconcile(THING, {"name": "a", "paths": ["/etc "], "password": "canary"}, None)
    assert outcome.payload == {"name": "a", "paths": "/etc", "password": "canary"}
    assert outcome.after == {"name": "a", "paths": ["/etc"], "password": "(set)"}
    assert "canary" not in repr((outcome.before, outcome.after, outcome.changes))


def test_create_never_sends_null() -> None:
    assert reconcile(THING, {"name": "a", "day": None}, None).payload == {"name": "a"}


def test_create_clears_with_the_empty_text() -> None:
    """Left out, the server would put its own default there."""
    assert reconcile(THING, {"name": "a", "extra": None}, None).payload == {"name": "a", "extra": ""}


def test_omitted_is_untouched() -> None:
    outcome = update({"name": "a"})
    assert not outcome.changed
    assert outcome.before == outcome.after


@pytest.mark.parametrize(
    "desired",
    [
        {"paths": [" /etc", "/home", ""]},
        {"extra": ""},
        {"extra": None},
        {"owner": Ref(5, "another spelling")},
        {"paused": False},
    ],
)
def test_same_in_other_words(desired: dict[str, Any]) -> None:
    assert not update(desired).changed


def test_update_sends_the_difference_only() -> None:
    outcome = update({"name": "b", "paths": ["/etc", "/home"]})
    assert outcome.payload == {"name": "b"}
    assert outcome.changes == ("name",)
    assert (outcome.before["name"], outcome.after["name"]) == ("a", "b")


@pytest.mark.parametrize(("option", "sent"), [("paths", ""), ("extra", "")])
def test_clear(option: str, sent: str) -> None:
    outcome = update({option: None}, extra="--x")
    assert outcome.payload == {option: sent}


def test_null_for_what_cannot_be_cleared() -> None:
    with pytest.raises(InvalidOption, match="name cannot be cleared"):
        update({"name": None})


def test_null_only_to_servers_that_honour_it() -> None:
    with pytest.raises(InvalidOption, match="this server ignores null"):
        update({"day": None})
    assert update({"day": None}, modern=True).payload["day"] is None
    assert not update({"day": None}, day=None).changed


def test_create_only_field() -> None:
    with pytest.raises(Immutable, match="it is 'x' and the task asks for 'y'") as caught:
        update({"kind": "y"})
    assert "state=absent" in str(caught.value)
    assert not update({"kind": "x"}).changed


def test_schedule_travels_together() -> None:
    outcome = update({"frequency": "weekly", "zone": "UTC"})
    assert outcome.payload == {"frequency": "weekly", "zone": "UTC", "day": 2}
    assert outcome.unreadable == ("zone",)
    assert update({"day": 3}).payload == {"day": 3, "frequency": "daily"}


def test_unreadable_is_left_alone_and_named() -> None:
    outcome = update({"zone": "UTC"})
    assert not outcome.changed
    assert outcome.unreadable == ("zone",)
    forced = update({"zone": "UTC"}, Policy(update_unreadable=True))
    assert forced.changed and forced.payload["zone"] == "UTC" and not forced.unreadable


def test_secret_policies() -> None:
    secret = {"password": "canary"}
    assert not update(secret).changed
    assert update(secret, password=None).payload == secret
    assert update(secret, Policy(update_secrets="always")).payload == secret
    assert not update(secret, Policy("always", differing_secrets=frozenset())).changed
    told = update(secret, Policy(differing_secrets=frozenset({"password"})))
    assert (told.before["password"], told.after["password"]) == ("(set)", "(changed)")
    assert "canary" not in repr((told.before, told.after))


def test_change_without_a_body() -> None:
    outcome = update({"paused": True})
    assert outcome.changed and outcome.payload == {} and outcome.changes == ("paused",)


def test_placeholder_differs_from_everything() -> None:
    assert Ref(None, "new") != Ref(None, "new")
    assert update({"owner": Ref(None, "new")}).after["owner"] == "new"
