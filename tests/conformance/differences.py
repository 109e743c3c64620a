# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of accepted differences in ``docs/differences.md``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .compare import NOTHING, Difference

FILE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"


@dataclass(frozen=True)
class Row:
    """A line of the table. Each cell holds one or more patterns, in which ``*`` stands for anything."""

    lines: tuple[str, ...]
    upstream: tuple[str, ...]
    ours: tuple[str, ...]
    reason: str

    def accepts(self, difference: Difference) -> bool:
        return self.covers(difference, self.lines)

    def covers(self, difference: Difference, lines: tuple[str, ...]) -> bool:
        """Whether the row, with only these line patterns, accepts a difference."""
        return (
            _matches(lines, difference.line)
            and _matches(self.upstream, difference.upstream)
            and _matches(self.ours, difference.ours)
        )

    def stale(self, found: list[Difference]) -> list[str]:
        """The patterns of lines for which no such difference was found."""
        return [line for line in self.lines if not any(self.covers(difference, (line,)) for difference in found)]


def rows() -> list[Row]:
    """All rows, from every table of the document that has four columns."""
    found = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            found.append(Row(_patterns(cells[0]), _patterns(cells[1]), _patterns(cells[2]), cells[3]))
    return found


def _patterns(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell)) or (NOTHING,)


def _matches(patterns: tuple[str, ...], text: str) -> bool:
    return any(re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) for pattern in patterns)
