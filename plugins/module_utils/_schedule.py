# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times and days as people write them and as the server wants them (agent-protocol.md §8.1)."""

from __future__ import annotations

import re
from typing import Any

SHORT_INTERVALS = ["10min", "15min", "30min"]
FREQUENCIES = [*SHORT_INTERVALS, "hourly", "daily", "weekly", "monthly", "manual"]
# The server counts from Sunday.
DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
LAST_DAY = "last"


def times(values: list[Any]) -> list[str]:
    """Times of day as ``HH:MM``, in ascending order, as otherwise the earlier ones never run (§10, 18)."""
    return sorted({_time(str(value).strip()) for value in values})


def _time(text: str) -> str:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if match and int(match[1]) < 24 and int(match[2]) < 60:
        return f"{int(match[1]):02d}:{match[2]}"
    hint = " (quote it in YAML, which takes 12:30 for a number)" if text.isdecimal() else ""
    raise ValueError(f"{text!r} is not a time of day such as '02:30'{hint}")


def times_from_wire(value: str | None) -> list[str]:
    """What the server holds, which it never checked: what is no time stays as it is and so differs."""
    entries = _entries(value)
    try:
        return times(entries)
    except ValueError:
        return entries


def joined(values: list[str]) -> str | None:
    """A comma-separated list; None when there is nothing in it."""
    return ",".join(values) or None


def days_of_week(values: list[Any]) -> list[int]:
    """Numbers of days, from names, their first three letters, or the numbers themselves."""
    return sorted({_day_of_week(str(value).strip().lower()) for value in values})


def _day_of_week(text: str) -> int:
    if text.isdecimal() and int(text) < len(DAYS):
        return int(text)
    for number, name in enumerate(DAYS):
        if text in (name, name[:3]):
            return number
    raise ValueError(f"{text!r} is not a day: use {', '.join(DAYS)}, or 0 for sunday to 6 for saturday")


def days_of_week_from_wire(value: Any) -> list[Any]:
    """One number; the bundled server also takes and gives several with commas between them."""
    entries = _entries(value)
    try:
        return [*days_of_week(entries)]
    except ValueError:
        return [*entries]


def days_of_week_to_wire(days: list[int]) -> int | str | None:
    """A number for one day, which is all that upstream understands."""
    return days[0] if len(days) == 1 else joined([str(day) for day in days])


def days_of_month(values: list[Any]) -> list[str]:
    """Days of the month in ascending order, the last one at the end."""
    entries = {str(value).strip().lower() for value in values} - {""}
    numbers = entries - {LAST_DAY}
    wrong = sorted(entry for entry in numbers if not (entry.isdecimal() and 1 <= int(entry) <= 31))
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not a day of the month: use 1 to 31, or '{LAST_DAY}'")
    days = {int(entry) for entry in numbers}
    if LAST_DAY not in entries:
        return [str(day) for day in sorted(days)]
    # The 31st is the last day already.
    return [*(str(day) for day in sorted(days - {31})), LAST_DAY]


def days_of_month_from_wire(value: Any) -> list[str]:
    entries = _entries(value)
    try:
        return days_of_month(entries)
    except ValueError:
        return entries


def _entries(value: Any) -> list[str]:
    return [entry.strip() for entry in str("" if value is None else value).split(",") if entry.strip()]
