# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading docs/api.md: one example for each request of the API, in an order in which they work."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "api.md"

_EXAMPLE = re.compile(
    r"^### (?P<title>.+?)\n.*?```http\n(?P<method>[A-Z]+) (?P<path>\S+)\n"
    r"(?:Authorization: Bearer <(?P<who>token|agent key)>\n)?(?:\n(?P<body>.+?)\n)?```\n\n"
    r"Answer (?P<status>\d+)(?P<reply>.*?)(?=^##|\Z)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """A request, and what the page says is answered."""

    title: str
    method: str
    path: str
    who: str | None
    body: Any
    status: int
    reply: Any

    @property
    def is_write(self) -> bool:
        """Whether it has a dry-run form: the admin API's writes do, agents' reports do not."""
        return self.method != "GET" and self.path.startswith("/api/v1/")


def examples() -> list[Example]:
    """All examples in the page's order."""
    return [_example(match) for match in _EXAMPLE.finditer(PAGE.read_text(encoding="utf-8"))]


def _example(match: re.Match[str]) -> Example:
    reply = re.search(r"```json\n(.+?)\n```", match["reply"], re.DOTALL)
    return Example(
        title=match["title"],
        method=match["method"],
        path=match["path"],
        who=match["who"],
        body=json.loads(match["body"]) if match["body"] else None,
        status=int(match["status"]),
        reply=json.loads(reply[1]) if reply else None,
    )
