# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""next_run against an independent library: every zone there is, and forty years of changing clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbs_server.scheduling.schedule import FREQUENCIES, Schedule, next_run, runs

from .calendars import INTERVALS, expected

# Without "localtime", "Factory" and the like, which are no places, and leap seconds.
ZONES = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("right/", "posix/")))

# Rules beyond 2037 stand in a part of the zone files that dateutil does not read.
FIRST, LAST = datetime(1995, 1, 1), datetime(2036, 6, 1)

SPAN = {name: timedelta(hours=36) for name in INTERVALS} | {
    "daily": timedelta(days=40),
    "weekly": timedelta(days=60),
    "monthly": timedelta(days=400),
    "manual": timedelta(days=1),
}


@st.composite
def schedules(draw: st.DrawFn, zones: st.SearchStrategy[str]) -> Schedule:
    """Any schedule that a plan may have."""
    times = draw(st.lists(st.times(), min_size=1, max_size=4))
    weekdays = draw(st.sets(st.integers(0, 6), min_size=1))
    month_days = draw(st.sets(st.one_of(st.integers(1, 31).map(str), st.just("last")), min_size=1, max_size=4))
    return Schedule.parse(
        draw(st.sampled_from(FREQUENCIES)),
        ",".join(f"{at:%H:%M}" for at in times),
        ",".join(map(str, weekdays)),
        ",".join(month_days),
        draw(zones),
    )


def ours(schedule: Schedule, after: datetime, before: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment < before, runs(schedule, after)))


@settings(max_examples=300, deadline=None)
@given(schedule=schedules(st.sampled_from(ZONES)), after=st.datetimes(FIRST, LAST))
def test_any_schedule_in_any_zone_and_year(schedule: Schedule, after: datetime) -> None:
    start = after.replace(tzinfo=UTC)
    end = start + SPAN[schedule.frequency]
    assert ours(schedule, start, end) == expected(schedule, start, end)


def changes(zone: str) -> list[datetime]:
    """The moments, to the hour, at which a zone's clocks changed within the years."""
    place, found = ZoneInfo(zone), []
    for year in range(FIRST.year, LAST.year):
        day = datetime(year, 1, 1, tzinfo=UTC)
        while day.year == year:
            following = day + timedelta(days=7)
            if day.astimezone(place).utcoffset() != following.astimezone(place).utcoffset():
                found.append(_narrowed(place, day, following))
            day = following
    return found


def _narrowed(place: ZoneInfo, before: datetime, after: datetime) -> datetime:
    while after - before > timedelta(hours=1):
        middle = before + (after - before) / 2
        changed = middle.astimezone(place).utcoffset() != before.astimezone(place).utcoffset()
        before, after = (before, middle) if changed else (middle, after)
    return before


STRANGE = (
    "Pacific/Apia",  # left out a whole day
    "Australia/Lord_Howe",  # changes by half an hour
    "Antarctica/Troll",  # changes by two hours
    "Africa/Casablanca",  # changes four times in some years
    "America/Goose_Bay",  # changed at one minute past midnight
    "America/Sao_Paulo",  # had no midnight
    "Asia/Gaza",
    "Europe/Dublin",
    "Asia/Pyongyang",
)


@pytest.mark.parametrize("zone", STRANGE)
def test_every_half_hour_around_changes_of_the_clock(zone: str) -> None:
    times = ",".join(f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30))
    schedule = Schedule.parse("daily", times, None, None, zone)
    for change in changes(zone)[-4:]:
        start, end = change - timedelta(hours=26), change + timedelta(hours=26)
        assert ours(schedule, start, end) == expected(schedule, start, end)


@settings(max_examples=100, deadline=None)
@given(schedule=schedules(st.sampled_from(ZONES)), after=st.datetimes(FIRST, LAST))
def test_the_next_run_does_not_depend_on_where_one_looks_from(schedule: Schedule, after: datetime) -> None:
    """Whatever moment one asks from, up to the run itself, the answer is the same; so a restart changes nothing."""
    start = after.replace(tzinfo=UTC)
    first = next_run(schedule, start)
    if first is None:
        return
    between = start + (first - start) / 2
    assert next_run(schedule, between) == first
    following = next_run(schedule, first)
    assert following is not None
    assert following > first
