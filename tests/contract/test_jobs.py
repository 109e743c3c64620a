# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Triggering, joining, waiting, cancelling and retrying, against both upstream releases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.borgfleet.bbs.plugins.module_utils._moment import utc_now

from .harness import Harness
from .upstream import NEW, OLD, Answer, Upstream

new_only = pytest.mark.parametrize("version", [NEW], indirect=True)
PLAN = {"client": "web1", "plan": "daily"}


@pytest.fixture
def planned(bbs: Harness) -> Harness:
    bbs.ok("bbs_client", name="web1")
    bbs.ok("bbs_repository", client="web1", name="main")
    bbs.ok("bbs_plan", client="web1", name="daily", repository="main", directories=["/etc"])
    return bbs


def unfold(bbs: Harness, upstream: Upstream, *states: dict[str, Any]) -> None:
    """Let the newest job go through states, one with each look at it."""
    inner, coming = bbs.transport, iter(states)

    def transport(method: str, path: str, headers: Any, body: bytes) -> Answer:
        if method == "GET" and "/jobs/" in path and upstream.jobs:
            upstream.jobs[-1].update(next(coming, {}))
        return inner(method, path, headers, body)

    bbs.transport = transport


def test_trigger_and_wait(planned: Harness, upstream: Upstream) -> None:
    running = {"status": "running", "files_processed": 5, "files_total": 10, "bytes_processed": 2000}
    unfold(planned, upstream, {}, running, {"status": "completed"})
    result = planned.ok("bbs_job", **PLAN)
    assert result["changed"] and result["job"]["status"] == "completed"


def test_progress_is_shown_once_for_each_news(
    planned: Harness, upstream: Upstream, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.borgfleet.bbs.plugins.plugin_utils import worker

    shown: list[str] = []
    monkeypatch.setattr(worker.display, "display", shown.append)
    running = {"status": "running", "files_processed": 5, "files_total": 10}
    unfold(planned, upstream, {}, running, running, {"status": "completed"})
    number = planned.ok("bbs_job", **PLAN)["id"]
    lines = [
        f"[web1] job {number}: queued",
        f"[web1] job {number}: running, 5 of 10 files",
        f"[web1] job {number}: completed, 5 of 10 files",
    ]
    assert shown == (lines if way == "worker" else [])


def test_failure_shows_the_end_of_the_log(planned: Harness, upstream: Upstream) -> None:
    log = "\n".join(f"line {number}" for number in range(20))
    unfold(planned, upstream, {}, {"status": "failed", "error_log": log})
    result = planned("bbs_job", **PLAN)
    assert result["failed"]
    assert result["msg"].endswith("line 18 | line 19")
    assert len(result["log"]) == 10
    assert result["job"]["status"] == "failed"


def test_cancelled_meanwhile(planned: Harness, upstream: Upstream) -> None:
    unfold(planned, upstream, {}, {"status": "cancelled"})
    assert "was cancelled, and the server does not say why." in planned.fails("bbs_job", **PLAN)


def test_busy_plan_is_joined(planned: Harness, upstream: Upstream) -> None:
    job = upstream.add_job(1, upstream.plans[0], "running")
    unfold(planned, upstream, {}, {"status": "completed"})
    result = planned.ok("bbs_job", **PLAN)
    assert not result["changed"]
    assert (result["id"], result["job"]["status"]) == (job["id"], "completed")


def test_timeout(planned: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    message = planned.fails("bbs_job", **PLAN, wait_timeout=0)
    assert "is still queued after 0 seconds; it goes on. Is the agent of the client web1 running" in message


def test_impossible_times(planned: Harness, upstream: Upstream) -> None:
    for option in ("wait_timeout", "maximum_age"):
        assert f"{option} must not be negative." in planned.fails("bbs_job", **PLAN, **{option: -1})
    assert upstream.jobs == []


def test_without_waiting(planned: Harness) -> None:
    assert planned.ok("bbs_job", **PLAN, wait=False)["job"]["status"] == "queued"


def test_check_mode(planned: Harness, upstream: Upstream) -> None:
    result = planned.ok("bbs_job", check=True, **PLAN)
    assert result["changed"] and result["job"] is None
    upstream.add_job(1, upstream.plans[0], "sent")
    assert not planned.ok("bbs_job", check=True, **PLAN)["changed"]
    assert planned.ok("bbs_job", check=True, client="web1", plan="to come")["changed"]
    assert planned.ok("bbs_job", check=True, client="to come", plan="daily")["changed"]
    assert len(upstream.jobs) == 1


def test_unknown(planned: Harness) -> None:
    assert "There is no plan named other" in planned.fails("bbs_job", client="web1", plan="other")
    assert "There is no client named other" in planned.fails("bbs_job", client="other", plan="daily")
    assert "plan" in planned.fails("bbs_job", client="web1")


@new_only
def test_cancel(planned: Harness, upstream: Upstream) -> None:
    assert not planned.ok("bbs_job", **PLAN, state="cancelled")["changed"]
    upstream.add_job(1, upstream.plans[0])
    assert planned.ok("bbs_job", check=True, **PLAN, state="cancelled")["changed"]
    for expected in (True, False):
        assert planned.ok("bbs_job", **PLAN, state="cancelled")["changed"] is expected
    assert upstream.jobs[0]["status"] == "cancelled"


@new_only
def test_what_cleans_up_after_a_cancelled_backup_goes_on(planned: Harness, upstream: Upstream) -> None:
    upstream.add_job(1, upstream.plans[0])["task_type"] = "break_lock"
    assert not planned.ok("bbs_job", **PLAN, state="cancelled")["changed"]
    assert upstream.jobs[0]["status"] == "queued"


def test_a_prune_in_the_way_is_waited_for(planned: Harness, upstream: Upstream) -> None:
    """Upstream refuses to trigger while the plan's prune is pending; the backup comes after it."""
    prune = upstream.add_job(1, upstream.plans[0], "running")
    prune["task_type"] = "prune"
    unfold(planned, upstream, {}, {"status": "completed"}, {}, {"status": "completed"})
    result = planned.ok("bbs_job", **PLAN)
    assert result["changed"] and result["job"]["task_type"] == "backup"
    assert [job["task_type"] for job in upstream.jobs] == ["prune", "backup"]


def test_a_prune_in_the_way_of_who_does_not_wait(planned: Harness, upstream: Upstream) -> None:
    upstream.add_job(1, upstream.plans[0], "running")["task_type"] = "prune"
    assert "already queued or running" in planned.fails("bbs_job", **PLAN, wait=False)


@pytest.mark.parametrize(("age", "changed"), [(3600, False), (0, True), (None, True)])
def test_a_recent_backup_is_enough(planned: Harness, upstream: Upstream, age: int | None, changed: bool) -> None:
    job = upstream.add_job(1, upstream.plans[0], "completed")
    job["completed_at"] = (utc_now() - timedelta(minutes=30)).strftime("%Y-%m-%d %H:%M:%S")
    options = {"maximum_age": age} if age is not None else {}
    assert planned.ok("bbs_job", check=True, **PLAN, **options)["changed"] is changed
    result = planned.ok("bbs_job", **PLAN, **options, wait=False)
    assert result["changed"] is changed and (result["id"] == job["id"]) is not changed
    assert "must not be negative" in planned.fails("bbs_job", **PLAN, maximum_age=-1)


@new_only
def test_retry(planned: Harness, upstream: Upstream) -> None:
    assert "no job that could be run again" in planned.fails("bbs_job", **PLAN, state="retried")
    job = upstream.add_job(1, upstream.plans[0], "failed")
    result = planned.ok("bbs_job", client="web1", job=job["id"], state="retried", wait=False)
    assert result["changed"] and result["id"] != job["id"]
    assert not planned.ok("bbs_job", **PLAN, state="retried", wait=False)["changed"]


@pytest.mark.parametrize("version", [OLD], indirect=True)
def test_too_old_to_cancel(planned: Harness, upstream: Upstream) -> None:
    upstream.add_job(1, upstream.plans[0])
    assert "too old to cancel" in planned.fails("bbs_job", **PLAN, state="cancelled")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from ansible_collections.borgfleet.bbs.plugins.module_utils import jobs

    monkeypatch.setattr(jobs.Jobs.__init__, "__defaults__", (jobs.time.monotonic, lambda seconds: None, jobs.utc_now))
    yield
