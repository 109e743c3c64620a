# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How people write values, and what is made of them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.borgfleet.bbs.plugins.module_utils import _schedule
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import lines, slug
from ansible_collections.borgfleet.bbs.plugins.module_utils.jobs import amount, ending, progress_of
from ansible_collections.borgfleet.bbs.plugins.module_utils.plugin_configs import config_field
from ansible_collections.borgfleet.bbs.plugins.module_utils.tokens import moment


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("daily-backup", "daily-backup"),
        ("Daily Backup", "daily-backup"),
        ("Main Repo (2026) v1.0", "main-repo-2026-v1-0"),
        ("a/b/c", "a-b-c"),
        ("../../../etc/passwd", "etc-passwd"),
        ("!!!", "repo"),
        ("日本語", "repo"),
        ("under_score", "under_score"),
        ("a---b", "a-b"),
    ],
)
def test_slug(name: str, expected: str) -> None:
    """As recorded from upstream (exchanges.jsonl, "repo: create name …")."""
    assert slug(name) == expected


def test_lines() -> None:
    assert lines([" /etc ", "", "/home"]) == ["/etc", "/home"]
    with pytest.raises(ValueError, match="line break"):
        lines(["/etc\n/home"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["02:00"], ["02:00"]),
        (["14:30", "2:00", "02:00"], ["02:00", "14:30"]),
        (["00:00", "23:59"], ["00:00", "23:59"]),
    ],
)
def test_times(given: list[str], expected: list[str]) -> None:
    assert _schedule.times(given) == expected


@pytest.mark.parametrize(
    ("wrong", "reason"), [("24:00", "not a time"), ("2", "quote it"), ("750", "quote it"), ("a", "not a time")]
)
def test_wrong_times(wrong: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _schedule.times([wrong])


def test_stored_times_are_taken_as_they_are() -> None:
    assert _schedule.times_from_wire("13:00,02:00") == ["02:00", "13:00"]
    assert _schedule.times_from_wire("noon") == ["noon"]
    assert _schedule.times_from_wire(None) == []


@pytest.mark.parametrize(
    ("given", "expected"), [(["Sunday"], [0]), (["sat", "1"], [1, 6]), (["friday", "5"], [5]), ([], [])]
)
def test_days_of_week(given: list[str], expected: list[int]) -> None:
    assert _schedule.days_of_week(given) == expected


@pytest.mark.parametrize("wrong", ["7", "-1", "someday", "s", "²"])
def test_wrong_day_of_week(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a day: use sunday"):
        _schedule.days_of_week([wrong])


def test_days_of_week_on_the_wire() -> None:
    assert _schedule.days_of_week_to_wire([0]) == 0
    assert _schedule.days_of_week_to_wire([1, 3]) == "1,3"
    assert _schedule.days_of_week_to_wire([]) is None
    assert _schedule.days_of_week_from_wire(0) == [0]
    assert _schedule.days_of_week_from_wire("1,3") == [1, 3]
    assert _schedule.days_of_week_from_wire(None) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [(["15", "1"], ["1", "15"]), (["Last"], ["last"]), (["31", "last", "2"], ["2", "last"]), (["31"], ["31"])],
)
def test_days_of_month(given: list[str], expected: list[str]) -> None:
    assert _schedule.days_of_month(given) == expected


@pytest.mark.parametrize("wrong", ["0", "32", "x", "²"])
def test_wrong_day_of_month(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a day of the month"):
        _schedule.days_of_month([wrong])


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ({"type": "text"}, ["app", "crm"], "app,crm"),
        ({"type": "text"}, 5, "5"),
        ({"type": "number"}, "3306", 3306),
        ({"type": "checkbox"}, "Yes", True),
        ({"type": "checkbox"}, 0, False),
        ({"type": "tags"}, "a, b,", ["a", "b"]),
        ({"type": "select", "options": {"": "", "x": ""}}, "x", "x"),
    ],
)
def test_config_values(declared: dict[str, Any], given: Any, expected: Any) -> None:
    assert config_field("key", declared).wanted(given) == expected


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ({"type": "number"}, "many"),
        ({"type": "number"}, True),
        ({"type": "checkbox"}, "maybe"),
        ({"type": "select", "options": {"x": ""}}, "y"),
        ({"type": "text"}, {"a": 1}),
    ],
)
def test_wrong_config_values(declared: dict[str, Any], given: Any) -> None:
    with pytest.raises(Exception, match=r"config\.key: must be"):
        config_field("key", declared).wanted(given)


@pytest.mark.parametrize(
    "given", ["2030-01-31 00:00:00", "2030-01-31T00:00:00Z", "2030-01-31T01:00:00+01:00", "2030-01-31"]
)
def test_moment(given: str) -> None:
    assert moment(given) == "2030-01-31 00:00:00"


@pytest.mark.parametrize(("count", "expected"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (5368709120, "5.4 GB")])
def test_amount(count: int, expected: str) -> None:
    assert amount(count) == expected


def test_progress_and_ending() -> None:
    job = {"id": 3, "status": "running", "files_processed": 2, "files_total": 9, "bytes_processed": 1500}
    assert progress_of(job) == "job 3: running, 2 of 9 files, 1.5 kB"
    failed = {"id": 3, "status": "failed", "error_log": "first\n\nlast\n"}
    assert ending(failed) == "The job 3 failed: first | last"
    failed["error_log"] = "\n".join(["the reason", *(f"borg {number}" for number in range(20))])
    assert ending(failed).startswith("The job 3 failed: the reason | … | borg 10 | borg 11 | ")
