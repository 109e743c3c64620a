# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules: what a plan may say, and when it runs next. Pure: no clock, no database."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from zoneinfo import ZoneInfo, available_timezones

INTERVALS = {
    "10min": timedelta(minutes=10),
    "15min": timedelta(minutes=15),
    "30min": timedelta(minutes=30),
    "hourly": timedelta(hours=1),
}
FREQUENCIES = (*INTERVALS, "daily", "weekly", "monthly", "manual")
LAST_DAY = 31
"""``last`` and 31 are the same: both mean a month's last day."""

DEFAULT_TIMES = "02:00"

# Two months always hold a day of every rule, whatever "after" is.
_HORIZON_DAYS = 63
# A time that a zone skips moves by the skipped span: into the next day, where a whole day was skipped.
_LONGEST_MOVE = timedelta(days=2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduleError(ValueError):
    """A schedule that can never be right.

    :param field: the option at fault.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True)
class Schedule:
    """A checked schedule.

    :param weekdays: 0 = Sunday … 6 = Saturday (agent-protocol.md §8.1).
    :param month_days: 1 to 31, where a day a month does not have means its last day.
    """

    frequency: str
    times: tuple[time, ...]
    weekdays: frozenset[int]
    month_days: frozenset[int]
    zone: ZoneInfo

    @classmethod
    def parse(
        cls, frequency: str, times: str | None, day_of_week: str | None, day_of_month: str | None, timezone: str
    ) -> Schedule:
        """Check the options of a plan.

        :param times: comma-separated ``HH:MM`` in any order; None means 02:00.
        :param day_of_week: comma-separated 0 to 6, needed for ``weekly``.
        :param day_of_month: comma-separated 1 to 31 or ``last``, needed for ``monthly``.
        :param timezone: an IANA name.
        :raises ScheduleError: naming the option.
        """
        if frequency not in FREQUENCIES:
            raise ScheduleError("frequency", f"must be one of {', '.join(FREQUENCIES)}.")
        weekdays, month_days = parse_weekdays(day_of_week), parse_month_days(day_of_month)
        if frequency == "weekly" and not weekdays:
            raise ScheduleError("day_of_week", "is required for a weekly plan: 0 (Sunday) to 6 (Saturday).")
        if frequency == "monthly" and not month_days:
            raise ScheduleError("day_of_month", "is required for a monthly plan: 1 to 31, or last.")
        return cls(frequency, parse_times(times), weekdays, month_days, parse_zone(timezone))


def parse_times(text: str | None) -> tuple[time, ...]:
    """Times of day from ``HH:MM,HH:MM``, sorted, without repetition.

    :raises ScheduleError: not such a list.
    """
    found = set()
    for part in (text or DEFAULT_TIMES).split(","):
        match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", part.strip(), re.ASCII)
        if match is None:
            raise ScheduleError("times", "must be times of day such as 02:00 or 02:00,14:30 (00:00 to 23:59).")
        found.add(time(int(match[1]), int(match[2])))
    return tuple(sorted(found))


def parse_weekdays(text: str | None) -> frozenset[int]:
    """Days of the week from ``1,3``; empty when there is none.

    :raises ScheduleError: something else than 0 to 6.
    """
    parts = [part.strip() for part in (text or "").split(",")] if text else []
    if not all(re.fullmatch("[0-6]", part) for part in parts):
        raise ScheduleError("day_of_week", "must be 0 (Sunday) to 6 (Saturday), or several such as 1,3,5.")
    return frozenset(int(part) for part in parts)


def parse_month_days(text: str | None) -> frozenset[int]:
    """Days of the month from ``1,15,last``; empty when there is none.

    :raises ScheduleError: something else than 1 to 31 or ``last``.
    """
    parts = [part.strip().lower() for part in (text or "").split(",")] if text else []
    if not all(re.fullmatch("last|0?[1-9]|[12][0-9]|3[01]", part, re.ASCII) for part in parts):
        raise ScheduleError("day_of_month", "must be 1 to 31, or last, or several such as 1,15,last.")
    return frozenset(LAST_DAY if part == "last" else int(part) for part in parts)


def parse_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    :raises ScheduleError: no such zone.
    """
    if name not in _zones():
        raise ScheduleError("timezone", "must be an IANA time zone such as UTC or Europe/Berlin.")
    return ZoneInfo(name)


def next_run(schedule: Schedule, after: datetime) -> datetime | None:
    """The first run strictly after a moment, or None for ``manual``.

    - Intervals (10, 15, 30 minutes, hourly) run on the UTC clock's multiples of the interval.
    - Other frequencies run at ``times`` in the plan's time zone.
    - A time that the zone skips (clocks go forward) runs the skipped span later: 02:30 runs at 03:30.
    - A time that comes twice (clocks go back) runs at its first coming only.
    - A day that a month does not have is the month's last day.

    So no run is lost and none happens twice. Runs that a skipped time moves to the same moment are one run.

    :param after: any aware time; the result is UTC.
    """
    if schedule.frequency == "manual":
        return None
    if interval := INTERVALS.get(schedule.frequency):
        return _EPOCH + ((after - _EPOCH) // interval + 1) * interval
    # Earlier, because a run's UTC date may differ from its local date, and skipped times move into the next day.
    start = after.astimezone(schedule.zone).date() - _LONGEST_MOVE
    return min(_first_moments(schedule, start, after))


def runs(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """All runs strictly after a moment, in order, without end; none for ``manual``."""
    moment = next_run(schedule, after)
    while moment is not None:
        yield moment
        moment = next_run(schedule, moment)


def splay(identity: str, minutes: int) -> timedelta:
    """By how much the runs of one among many are delayed, so that not all of them start in one second.

    :param identity: who is to be told apart; the same one always gets the same delay.
    :param minutes: the delay is shorter than this, in whole seconds; 0 means none.
    """
    if not minutes:
        return timedelta()
    number = int.from_bytes(sha256(identity.encode()).digest()[:8])
    return timedelta(seconds=number % (minutes * 60))


def _first_moments(schedule: Schedule, start: date, after: datetime) -> Iterator[datetime]:
    """The moments after another that may be the first: those of one day, and of the days it might move into."""
    found: date | None = None
    for day in _days(schedule, start):
        if found is not None and day - found > _LONGEST_MOVE:
            return
        for moment in _moments(schedule, day):
            if moment > after:
                found = found or day
                yield moment


def _days(schedule: Schedule, start: date) -> Iterator[date]:
    for offset in range(_HORIZON_DAYS):
        day = start + timedelta(days=offset)
        if _matches(schedule, day):
            yield day


def _matches(schedule: Schedule, day: date) -> bool:
    if schedule.frequency == "weekly":
        return day.isoweekday() % 7 in schedule.weekdays
    if schedule.frequency == "monthly":
        last = calendar.monthrange(day.year, day.month)[1]
        return day.day in {min(wanted, last) for wanted in schedule.month_days}
    return True


def _moments(schedule: Schedule, day: date) -> list[datetime]:
    # fold=0 takes the first of two comings, and the offset before a gap, which moves into the time after it.
    local = (datetime.combine(day, at, tzinfo=schedule.zone) for at in schedule.times)
    return sorted({moment.astimezone(UTC) for moment in local})


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
