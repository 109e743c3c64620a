# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recorded exchanges with upstream (shared/reference/README.md says what their fields mean)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ADMIN, AGENT, REAL_AGENT = "exchanges.jsonl", "agent-exchanges.jsonl", "real-agent-exchanges.jsonl"
FILES = (ADMIN, AGENT, REAL_AGENT)

OLDER = "exchanges-2.26.4.jsonl"
"""An older server; only read to learn which fields can be null."""


@dataclass(frozen=True)
class Exchange:
    """One recorded request and what upstream answered."""

    source: str
    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw_body: str | None
    status: int
    answer: Any
    """The parsed JSON, or None where the answer was not JSON."""
    text: str
    note: str = ""
    body_length: int = 0

    @property
    def kind(self) -> str:
        """The status with the kind of body: ``200``, ``404 text``, ``500 empty``."""
        return described(self.status, self.answer is not None, bool(self.text or self.body_length))

    @property
    def worked(self) -> bool:
        return self.status < 400


def described(status: int, is_json: bool, has_body: bool) -> str:
    """A status with the kind of body, if that is not JSON."""
    if is_json:
        return str(status)
    return f"{status} text" if has_body else f"{status} empty"


REQUIRED = "RECORDINGS"
"""Set to ``required`` where a run without the recordings must fail, as in CI."""


def directory() -> Path:
    """``shared/reference`` beside the checkout, or beside a folder around it; without it the calling test is skipped.

    :raises FileNotFoundError: it has to be there.
    """
    for folder in Path(__file__).resolve().parents:
        found = folder / "shared" / "reference"
        if found.is_dir():
            return found
    missing = (
        "upstream's recordings are not part of the repository: put them into ../shared/reference, beside the "
        "checkout; who is named in galaxy.yml hands them out"
    )
    if os.environ.get(REQUIRED) == "required":
        raise FileNotFoundError(missing)
    pytest.skip(missing)


def load(file: str) -> list[Exchange]:
    """The exchanges of one file in order."""
    lines = (directory() / file).read_text(encoding="utf-8").splitlines()
    return [_exchange(file, json.loads(line)) for line in lines]


def _exchange(source: str, line: dict[str, Any]) -> Exchange:
    request, response = line["request"], line["response"]
    return Exchange(
        source=source,
        name=line["name"],
        method=request["method"],
        path=request["path"],
        headers=request.get("headers", {}),
        body=request.get("json"),
        raw_body=request.get("raw_body"),
        status=response["status"],
        answer=response.get("json"),
        text=response.get("text") or "",
        note=line.get("note", ""),
        body_length=response.get("body_length", 0),
    )


def nullable() -> frozenset[str]:
    """The fields that upstream ever answered with null, by their own name and that of what holds them."""
    found: set[str] = set()
    for file in (*FILES, OLDER):
        for exchange in load(file):
            found.update(_nulls(exchange.answer, ""))
    return frozenset(found)


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield short(path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _nulls(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _nulls(inner, f"{path}[]")


def short(path: str) -> str:
    """The last name of a path: the same field is nullable wherever it stands."""
    return path.rsplit(".", 1)[-1]
