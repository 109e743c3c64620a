# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The calendar as another library has it: dateutil's recurrences, and its rule for times that a zone skips."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil import rrule, tz

from bbs_server.scheduling.schedule import Schedule

INTERVALS = {"10min": 10, "15min": 15, "30min": 30, "hourly": 60}
_SUNDAY_FIRST = (rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA)
_MARGIN = timedelta(days=3)
"""Wall clocks and UTC are less than this apart."""


def expected(schedule: Schedule, after: datetime, before: datetime) -> list[datetime]:
    """All runs of a schedule strictly between two moments, in UTC."""
    if schedule.frequency == "manual":
        return []
    if minutes := INTERVALS.get(schedule.frequency):
        midnight = after.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        rule = rrule.rrule(rrule.MINUTELY, interval=minutes, dtstart=midnight, until=before.replace(tzinfo=None))
        found = {moment.replace(tzinfo=UTC) for moment in rule}
    else:
        found = set(_on_the_wall(schedule, after, before))
    return sorted(moment for moment in found if after < moment < before)


def _on_the_wall(schedule: Schedule, after: datetime, before: datetime) -> Iterator[datetime]:
    """Wall clock times by dateutil's rules; one that does not exist moves on by what is skipped.

    The zones are Python's: dateutil's own misread those whose winter counts as the exception (Dublin, Casablanca).
    """
    start = (after - _MARGIN).replace(tzinfo=None, second=0, microsecond=0)
    until = (before + _MARGIN).replace(tzinfo=None)
    for at in schedule.times:
        for rule in _rules(schedule):
            begin = start.replace(day=1, hour=at.hour, minute=at.minute)
            for wall in rrule.rrule(dtstart=begin, until=until, **rule):
                yield tz.resolve_imaginary(wall.replace(tzinfo=schedule.zone)).astimezone(UTC)


def _rules(schedule: Schedule) -> Iterator[dict[str, Any]]:
    if schedule.frequency == "daily":
        yield {"freq": rrule.DAILY}
    elif schedule.frequency == "weekly":
        yield {"freq": rrule.WEEKLY, "byweekday": [_SUNDAY_FIRST[day] for day in schedule.weekdays]}
    else:
        for day in schedule.month_days:
            # The last of the days up to the wanted one that the month has.
            shortest = min(day, calendar.monthrange(2027, 2)[1])
            yield {"freq": rrule.MONTHLY, "bymonthday": range(shortest, day + 1), "bysetpos": -1}
