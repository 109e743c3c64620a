# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired against current: what has to be sent, and what it will change. Pure: no I/O, no Ansible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import Immutable, InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import UNREADABLE, Field, shown
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource

SET = "(set)"
CHANGED = "(changed)"


@dataclass(frozen=True)
class Policy:
    """How to treat what cannot be compared.

    :param update_secrets: ``always`` sends given secrets on every run, ``on_create`` only where none is
        stored
    :param differing_secrets: options whose secret differs, when the server could tell; overrides
        ``update_secrets``
    :param update_unreadable: send given fields that the server does not read back
    """

    update_secrets: str = "on_create"
    differing_secrets: frozenset[str] | None = None
    update_unreadable: bool = False


@dataclass(frozen=True)
class Outcome:
    """What reconciling found.

    :param action: ``none``, ``create``, ``update`` or ``delete``
    :param before: the object as it is, by option name, fit for a diff; empty when it does not exist
    :param after: the object as it will be, likewise
    :param payload: the request body, by wire name
    :param changes: options that change, in declaration order
    :param unreadable: given options left alone because the server does not read them back
    """

    action: str = "none"
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.action != "none"


def reconcile(
    resource: Resource,
    desired: Mapping[str, Any] | None,
    current: Mapping[str, Any] | None,
    policy: Policy | None = None,
) -> Outcome:
    """Compare what shall be with what is.

    :param desired: the options that the playbook gives, by name; null clears; None: it shall not exist
    :param current: the object as the API returns it; None: it does not exist
    :raises InvalidOption: a malformed value, or null where nothing can be cleared
    :raises Immutable: a field that only creation can set would have to change
    """
    if desired is None:
        if current is None:
            return Outcome()
        return Outcome("delete", before=view(resource, current))
    wanted = {f.option: f.wanted(desired[f.option]) for f in resource.fields if f.option in desired}
    if current is None:
        return _creation(resource, wanted)
    return _update(resource, wanted, current, policy or Policy())


def view(resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
    """An API object as diffs show it: by option name, secrets hidden, unreadable fields left out."""
    pairs = ((f, f.current(obj)) for f in resource.fields)
    return {f.option: _printable(f, value, SET) for f, value in pairs if _tells(f, value)}


def _tells(spec: Field, value: Any) -> bool:
    return value is not UNREADABLE and not (spec.secret and not value)


def _printable(spec: Field, value: Any, secret: str) -> Any:
    return secret if spec.secret else shown(value)


def _creation(resource: Resource, wanted: Mapping[str, Any]) -> Outcome:
    given = [f for f in resource.fields if f.option in wanted]
    body = {f.key: f.to_wire(wanted[f.option]) for f in given if f.sent}
    return Outcome(
        "create",
        after={f.option: _printable(f, wanted[f.option], SET) for f in given if _tells(f, wanted[f.option])},
        # Null says nothing at creation, and some servers stumble over it (admin-api.md §5.4).
        payload={key: value for key, value in body.items() if value is not None},
        changes=tuple(f.option for f in given),
    )


def _update(resource: Resource, wanted: Mapping[str, Any], current: Mapping[str, Any], policy: Policy) -> Outcome:
    changes: list[Field] = []
    unreadable: list[str] = []
    for spec in resource.fields:
        if spec.option not in wanted:
            continue
        value, have = wanted[spec.option], spec.current(current)
        if spec.secret:
            differs = _secret_differs(spec, value, have, policy)
        elif have is UNREADABLE:
            differs = policy.update_unreadable and spec.mutable
            if not differs:
                unreadable.append(spec.option)
        else:
            differs = value != have
        if differs and not spec.mutable:
            raise Immutable(_immutable(resource, spec, have, value))
        if differs:
            changes.append(spec)

    before = view(resource, current)
    after = {**before, **{f.option: _printable(f, wanted[f.option], CHANGED) for f in changes}}
    return Outcome(
        "update" if changes else "none",
        before=before,
        after=after,
        payload=_body(resource, wanted, current, changes),
        changes=tuple(f.option for f in changes),
        unreadable=tuple(unreadable),
    )


def _secret_differs(spec: Field, value: Any, have: Any, policy: Policy) -> bool:
    """Whether a secret has to be sent: by the server's own word, else by policy."""
    if not spec.mutable:
        return False
    if policy.differing_secrets is not None:
        return spec.option in policy.differing_secrets
    stored = have is not UNREADABLE and bool(have)
    return bool(value) and (policy.update_secrets == "always" or not stored)


def _body(
    resource: Resource, wanted: Mapping[str, Any], current: Mapping[str, Any], changes: list[Field]
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for spec in changes:
        if not spec.sent:
            continue
        value = spec.to_wire(wanted[spec.option])
        cleared = value is None and wanted[spec.option] == spec.empty
        if cleared and not resource.honours_null(current):
            raise InvalidOption(
                f"{spec.option} cannot be cleared: this server ignores null. "
                f"Give another value, or remove the {resource.name} and create it again."
            )
        body[spec.key] = value
    if any(spec.option in resource.together for spec in changes):
        _complete(resource, wanted, current, body)
    return body


def _complete(resource: Resource, wanted: Mapping[str, Any], current: Mapping[str, Any], body: dict[str, Any]) -> None:
    """Add the fields that must accompany a changed one, as given or as they are."""
    for spec in resource.fields:
        if spec.option not in resource.together or spec.key in body:
            continue
        value = wanted.get(spec.option, spec.current(current))
        if value is not UNREADABLE and spec.to_wire(value) is not None:
            body[spec.key] = spec.to_wire(value)


def _immutable(resource: Resource, spec: Field, have: Any, value: Any) -> str:
    return (
        f"{spec.option} of an existing {resource.name} cannot be changed: it is {shown(have)!r} and the task "
        f"asks for {shown(value)!r}. Write the present value, or remove the {resource.name} (state=absent) "
        "and create it again."
    )
