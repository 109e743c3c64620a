# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a row is, what it has measured, and how that is shown."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MEETS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Row:
    """What is measured.

    :param title: as the table shows it
    :param unit: of the value, such as ``times faster`` or ``requests/s``
    :param goal: a sign and a number, such as ``(">=", 8)``; None where there is none
    :param reference: the same of BBS 2.91.1, measured elsewhere once (docs/performance.md); None where there is none
    """

    title: str
    unit: str
    goal: tuple[str, float] | None = None
    reference: float | None = None


@dataclass(frozen=True)
class Measured:
    """What a row has found.

    :param details: further numbers, with their units in their names
    """

    name: str
    row: Row
    value: float
    details: Mapping[str, float]

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        if self.row.goal is None:
            return True
        sign, number = self.row.goal
        return bool(_MEETS[sign](self.value, number))

    @property
    def ratio(self) -> float | None:
        """How many times the reference it is."""
        return self.value / self.row.reference if self.row.reference else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.row.title,
            "value": self.value,
            "unit": self.row.unit,
            "goal": self.row.goal and " ".join(map(str, self.row.goal)),
            "met": self.met,
            "reference": self.row.reference,
            "ratio": self.ratio,
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class Failed:
    """A file of rows that did not get to its end.

    :param reason: one line
    """

    name: str
    reason: str
    met = False

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "failed": self.reason, "met": self.met}


HEADING = ("what", "measured", "BBS 2.91.1", "ratio", "goal", "details")


def table(found: Sequence[Measured | Failed]) -> str:
    """One line for each row: what, how much, what was wanted, and the numbers behind it."""
    lines = [HEADING, *map(_line, found)]
    # What is behind the numbers is long, and so is the reason of a failure: nothing stands in line with it.
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADING) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def markdown(found: Sequence[Measured | Failed]) -> str:
    """The same for a page of the documentation."""
    lines = [HEADING, ("---",) * len(HEADING), *map(_line, found)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _line(one: Measured | Failed) -> tuple[str, ...]:
    if isinstance(one, Failed):
        return one.name, "failed", "", "", "", one.reason
    sign, number = one.row.goal or ("", None)
    goal = "" if number is None else f"{sign} {number:g}{'' if one.met else ', missed'}"
    details = "; ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in one.details.items())
    reference = "" if one.row.reference is None else f"{one.row.reference:g}"
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    return one.row.title, f"{_number(one.value)} {one.row.unit}", reference, ratio, goal, details


def _number(value: float) -> str:
    """Three digits that count, and no powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
