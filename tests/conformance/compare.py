# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How two answers differ: status, keys, types on the wire, order of lists, and a few values that are states."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .recordings import Exchange, described, short

NOTHING = "–"  # noqa: RUF001  the dash that stands in an empty cell of the table

STATES = frozenset({
    "already_terminal", "cancel", "encryption", "enabled", "frequency", "limit", "offset", "status", "storage_type",
    "task", "task_type", "task_result", "poll_interval", "slug", "plugin",
})  # fmt: skip
"""Fields whose value says what the server did; all others only have to be of the same type."""


@dataclass(frozen=True)
class Difference:
    """One way in which the answer to one line is not upstream's."""

    line: str
    upstream: str
    ours: str

    def __str__(self) -> str:
        return f"{self.line} | {self.upstream} | {self.ours}"


class Comparison:
    """Compares the answers to one line.

    :param same: whether a recorded object and one of ours are the same, given the kind of list they stand in.
    :param nullable: names of fields that may be null.
    """

    def __init__(
        self, exchange: Exchange, same: Callable[[str, Any, Any], bool | None], nullable: frozenset[str]
    ) -> None:
        self._exchange = exchange
        self._same = same
        self._nullable = nullable

    def differences(self, status: int, answer: Any, has_body: bool) -> list[Difference]:
        """All differences; the bodies are only compared where both worked, or both refused in the same way."""
        ours = described(status, answer is not None, has_body)
        if self._exchange.kind != ours:
            return [self._difference(self._exchange.kind, ours)]
        found = dict.fromkeys(self._compare(self._exchange.answer, answer, ""))
        return list(found)

    def _compare(self, recorded: Any, ours: Any, path: str) -> Iterator[Difference]:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            yield from self._objects(recorded, ours, path)
        elif isinstance(recorded, list) and isinstance(ours, list):
            yield from self._lists(recorded, ours, path)
        elif not self._same_type(recorded, ours, path):
            yield self._difference(f"{path}: {_type(recorded)}", f"{path}: {_type(ours)}")
        elif short(path) in STATES and recorded != ours:
            yield self._difference(f"{path} = {_shown(recorded)}", f"{path} = {_shown(ours)}")

    def _objects(self, recorded: dict[str, Any], ours: dict[str, Any], path: str) -> Iterator[Difference]:
        for key in recorded.keys() | ours.keys():
            inner = f"{path}.{key}" if path else key
            if key not in ours:
                yield self._difference(inner, NOTHING)
            elif key not in recorded:
                yield self._difference(NOTHING, inner)
            else:
                yield from self._compare(recorded[key], ours[key], inner)

    def _lists(self, recorded: list[Any], ours: list[Any], path: str) -> Iterator[Difference]:
        inner = f"{path}[]"
        if not all(isinstance(item, dict) for item in (*recorded, *ours)):
            if recorded and ours:
                yield from self._compare(recorded[0], ours[0], inner)
            return
        pairs = self._pairs(recorded, ours, short(path))
        for left, right in pairs:
            yield from self._compare(recorded[left], ours[right], inner)
        alike = [(recorded[left], right) for left, right in pairs if _named_alike(recorded[left], ours[right])]
        if not _in_order(alike):
            yield self._difference(f"order of {inner}", f"other order of {inner}")
        yield from self._odd_ones(recorded, ours, pairs, path)

    def _odd_ones(
        self, recorded: list[Any], ours: list[Any], pairs: list[tuple[int, int]], path: str
    ) -> Iterator[Difference]:
        paired, matched = {left for left, _ in pairs}, {right for _, right in pairs}
        for index, item in enumerate(recorded):
            if index not in paired and self._same(short(path), item, None) is not None:
                yield self._difference(f"{path}[] {_label(item)}", NOTHING)
        for index, item in enumerate(ours):
            if index not in matched:
                yield self._difference(NOTHING, f"{path}[] {_label(item)}")

    def _pairs(self, recorded: list[Any], ours: list[Any], kind: str) -> list[tuple[int, int]]:
        pairs, taken = [], set[int]()
        for left, item in enumerate(recorded):
            for right, candidate in enumerate(ours):
                if right not in taken and self._same(kind, item, candidate):
                    pairs.append((left, right))
                    taken.add(right)
                    break
        return pairs

    def _same_type(self, recorded: Any, ours: Any, path: str) -> bool:
        if recorded is None:
            return True
        if ours is None:
            return short(path) in self._nullable
        return _type(recorded) == _type(ours) or {_type(recorded), _type(ours)} == {"integer", "number"}

    def _difference(self, upstream: str, ours: str) -> Difference:
        return Difference(self._exchange.name, upstream, ours)


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "object"}


def _type(value: Any) -> str:
    return "null" if value is None else _TYPES[type(value)]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _label(item: dict[str, Any]) -> str:
    return str(item.get("slug") or item.get("name") or item.get("task_type") or item.get("task") or "other")


def _in_order(members: list[tuple[dict[str, Any], int]]) -> bool:
    """Whether places grow along a recorded list; rows that tie on ``queued_at`` come in no fixed order."""
    ties = itertools.groupby(members, key=lambda member: member[0].get("queued_at", member[1]))
    places = [place for _, tied in ties for place in sorted(place for _, place in tied)]
    return places == sorted(places)


def _named_alike(recorded: dict[str, Any], ours: dict[str, Any]) -> bool:
    return recorded.get("name") == ours.get("name")
