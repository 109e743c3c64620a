# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one option of a resource is: its names, its comparison and what may be done with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import InvalidOption


class _Unreadable:
    """The server does not tell this value."""

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE = _Unreadable()


@dataclass(frozen=True)
class Ref:
    """An object of the server, written by name and sent by id.

    Two references are equal when their ids are. ``id`` is None for an object that only exists in check
    mode's prediction; such a reference equals no other and is never sent.
    """

    id: int | None
    name: str = field(compare=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self.id is not None and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.name


def unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Field:
    """One option of a resource.

    A value has three shapes. *Option*: what the playbook says, already coerced by the argument spec.
    *Canonical*: what is compared and shown. *Wire*: what the API sends and takes.

    :param option: name in the playbook
    :param wire: name in the API, when it differs
    :param normalise: option value to canonical value; raises ``ValueError`` with half a sentence
    :param from_wire: wire value to canonical value
    :param to_wire: canonical value to wire value
    :param read: takes the canonical value out of a whole API object, for what is spread over several keys;
        returns ``UNREADABLE`` when the object does not tell
    :param mutable: False for what only creation can set
    :param secret: never shown; the server masks it
    :param clearable: null empties it
    :param empty: the canonical value of an emptied field
    :param argument: False when the value comes from another option (``paused`` from ``state``)
    :param sent: False when a change travels in a request of its own instead of the body
    :param spec: further keys of Ansible's argument spec
    """

    option: str
    type: str = "str"
    wire: str = ""
    normalise: Callable[[Any], Any] = unchanged
    from_wire: Callable[[Any], Any] = unchanged
    to_wire: Callable[[Any], Any] = unchanged
    read: Callable[[Mapping[str, Any]], Any] | None = None
    mutable: bool = True
    secret: bool = False
    clearable: bool = False
    empty: Any = None
    argument: bool = True
    sent: bool = True
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the value in API objects."""
        return self.wire or self.option

    def wanted(self, value: Any) -> Any:
        """The canonical form of an option value; null means empty.

        :raises InvalidOption: the value is malformed, or null where nothing can be cleared
        """
        if value is None:
            if not self.clearable:
                raise InvalidOption(
                    f"{self.option} cannot be cleared: leave the option out to keep the value as it is."
                )
            return self.empty
        try:
            return self.normalise(value)
        except ValueError as error:
            raise InvalidOption(f"{self.option}: {error}.") from error

    def current(self, obj: Mapping[str, Any]) -> Any:
        """The canonical value in an API object, or ``UNREADABLE``."""
        if self.read is not None:
            return self.read(obj)
        return self.from_wire(obj[self.key]) if self.key in obj else UNREADABLE

    def argument_spec(self) -> dict[str, Any]:
        """This option's entry in Ansible's argument spec."""
        return {"type": self.type, **({"no_log": True} if self.secret else {}), **self.spec}


def shown(value: Any) -> Any:
    """A canonical value as a diff prints it."""
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return value


def stripped(value: str) -> str:
    """A name as the server stores it: without surrounding blanks, and not empty (admin-api.md §5)."""
    name = str(value).strip()
    if not name:
        raise ValueError("must not be empty")
    return name


def filled(value: str) -> str:
    """A text that is taken as it is, and must not be empty."""
    if not value:
        raise ValueError("must not be empty")
    return value


def not_empty(normalise: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """For lists that must hold something."""

    def checked(value: Any) -> list[Any]:
        found = normalise(value)
        if not found:
            raise ValueError("must not be empty")
        return found

    return checked


def slug(value: str) -> str:
    """The repository name that the server makes of ``value`` (admin-api.md §5.2)."""
    return re.sub("-+", "-", re.sub("[^a-z0-9_-]+", "-", stripped(value).lower())).strip("-") or "repo"


def lines(values: Iterable[Any]) -> list[str]:
    """List options that travel as one entry per line (admin-api.md §5.4)."""
    entries = [str(value).strip() for value in values]
    broken = [entry for entry in entries if "\n" in entry or "\r" in entry]
    if broken:
        raise ValueError("an entry must not contain a line break")
    return [entry for entry in entries if entry]


def lines_from_wire(value: str | None) -> list[str]:
    return [line.strip() for line in (value or "").splitlines() if line.strip()]


def lines_to_wire(values: Iterable[str]) -> str:
    return "\n".join(values)


def same_text_or_none(value: str | None) -> str | None:
    """Null and the empty string mean the same to the server."""
    return (value or "").strip() or None


def text_or_empty(value: str | None) -> str:
    """The empty string clears where null would be ignored (admin-api.md §5.4)."""
    return value or ""
