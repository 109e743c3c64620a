# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When plans run (agent-protocol.md §8, and where the bundled server does better)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbs_server.scheduling.schedule import Schedule, ScheduleError, next_run

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca")


def schedule(
    frequency: str = "daily",
    times: str | None = None,
    day_of_week: str | None = None,
    day_of_month: str | None = None,
    timezone: str = "UTC",
) -> Schedule:
    return Schedule.parse(frequency, times, day_of_week, day_of_month, timezone)


def runs(made: Schedule, after: str, count: int) -> list[str]:
    """The next runs, in the schedule's own zone."""
    moment, found = datetime.fromisoformat(after).replace(tzinfo=UTC), []
    for _ in range(count):
        following = next_run(made, moment)
        assert following is not None
        moment = following
        found.append(moment.astimezone(made.zone).strftime("%Y-%m-%d %H:%M"))
    return found


def test_several_times_in_any_order() -> None:
    assert runs(schedule(times="14:00,02:00"), "2026-11-23 12:00", 3) == [
        "2026-11-23 14:00", "2026-11-24 02:00", "2026-11-24 14:00",
    ]  # fmt: skip


def test_weekly_runs_today_when_its_time_is_still_ahead() -> None:
    monday = schedule("weekly", "13:00", day_of_week="1")
    assert runs(monday, "2026-11-23 12:00", 2) == ["2026-11-23 13:00", "2026-11-30 13:00"]


def test_several_weekdays_count_from_sunday() -> None:
    assert runs(schedule("weekly", "02:00", day_of_week="6,0"), "2026-11-23 12:00", 3) == [
        "2026-11-28 02:00", "2026-11-29 02:00", "2026-12-05 02:00",
    ]  # fmt: skip


def test_a_month_without_the_day_runs_on_its_last() -> None:
    assert runs(schedule("monthly", "02:00", day_of_month="31"), "2027-01-15 00:00", 3) == [
        "2027-01-31 02:00", "2027-02-28 02:00", "2027-03-31 02:00",
    ]  # fmt: skip


def test_days_that_meet_at_the_end_of_a_month_run_once() -> None:
    assert runs(schedule("monthly", "02:00", day_of_month="28,30,last"), "2027-02-01 00:00", 2) == [
        "2027-02-28 02:00", "2027-03-28 02:00",
    ]  # fmt: skip


def test_an_hour_that_does_not_exist_runs_later() -> None:
    berlin = schedule(times="02:30", timezone="Europe/Berlin")
    assert runs(berlin, "2027-03-27 12:00", 2) == ["2027-03-28 03:30", "2027-03-29 02:30"]


def test_an_hour_that_comes_twice_runs_once() -> None:
    berlin = schedule(times="02:30", timezone="Europe/Berlin")
    assert runs(berlin, "2027-10-30 12:00", 2) == ["2027-10-31 02:30", "2027-11-01 02:30"]


@pytest.mark.parametrize(("frequency", "minutes"), [("10min", 10), ("15min", 15), ("30min", 30), ("hourly", 60)])
def test_intervals_do_not_drift(frequency: str, minutes: int) -> None:
    first = next_run(schedule(frequency), datetime(2026, 11, 23, 12, 7, 31, tzinfo=UTC))
    assert first is not None
    assert first.minute % minutes == 0
    assert next_run(schedule(frequency), first) == first + timedelta(minutes=minutes)


def test_manual_never_runs() -> None:
    assert next_run(schedule("manual"), datetime.now(UTC)) is None


@given(
    after=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
    zone=st.sampled_from(ZONES),
    times=st.lists(st.times(), min_size=1, max_size=4),
    days=st.sets(st.integers(0, 6), min_size=1),
    frequency=st.sampled_from(["daily", "weekly"]),
)
def test_each_local_day_runs_each_time_once(
    after: datetime, zone: str, times: list[object], days: set[int], frequency: str
) -> None:
    texts = sorted({f"{at:%H:%M}" for at in times})
    made = schedule(frequency, ",".join(texts), ",".join(map(str, days)), timezone=zone)
    start = after.replace(tzinfo=UTC)
    moment, found = start, []
    while moment < start + timedelta(days=15):
        following = next_run(made, moment)
        assert following is not None
        assert following > moment
        moment = following
        found.append(moment)

    local = [run.astimezone(ZoneInfo(zone)) for run in found]
    whole_days = {(start.astimezone(ZoneInfo(zone)) + timedelta(days=offset)).date() for offset in range(1, 13)}
    for day in whole_days:
        expected = texts if frequency == "daily" or day.isoweekday() % 7 in days else []
        # Times that a zone skips may coincide with others after the gap; none may be lost besides those.
        happened = [run for run in local if run.date() == day]
        assert len(happened) <= len(expected)
        if len(happened) < len(expected):
            assert not _has_all(day, expected, zone)


def _has_all(day: object, texts: list[str], zone: str) -> bool:
    """Whether every one of these wall clock times exists on that day."""
    for text in texts:
        naive = datetime.fromisoformat(f"{day} {text}")
        there = naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if there != naive:
            return False
    return True


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"frequency": "yearly"}, "frequency"),
        ({"times": "25:99"}, "times"),
        ({"times": "24:00"}, "times"),
        ({"times": "02:00,"}, "times"),
        ({"times": "02:00;14:00"}, "times"),
        ({"times": "\u0660\u0662:\u0660\u0660"}, "times"),
        ({"frequency": "weekly"}, "day_of_week"),
        ({"frequency": "weekly", "day_of_week": "7"}, "day_of_week"),
        ({"frequency": "weekly", "day_of_week": "monday"}, "day_of_week"),
        ({"frequency": "monthly"}, "day_of_month"),
        ({"frequency": "monthly", "day_of_month": "0"}, "day_of_month"),
        ({"frequency": "monthly", "day_of_month": "32"}, "day_of_month"),
        ({"timezone": "Mars/Phobos"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(options: dict[str, str], field: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        schedule(**options)
    assert refused.value.field == field
