# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a server has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.borgfleet.bbs.plugins.module_utils.info import READERS

from .declared import HOST, PLAN_CASE
from .harness import Harness
from .upstream import Upstream


@pytest.fixture
def hosts(bbs: Harness, upstream: Upstream) -> Harness:
    for client in ("web1", "web2"):
        bbs.ok("bbs_client", name=client)
        bbs.ok("bbs_repository", client=client, name="main")
        bbs.ok("bbs_plan", client=client, name="daily", repository="main", directories=["/etc"])
        for status in ("failed", "completed"):
            upstream.add_job(upstream.clients[-1]["id"], upstream.plans[-1], status)
    return bbs


def test_clients(hosts: Harness) -> None:
    result = hosts.ok("bbs_info")
    assert not result["changed"]
    assert [client["name"] for client in result["clients"]] == ["web1", "web2"]


def test_no_keys(hosts: Harness) -> None:
    number = hosts.ok("bbs_info")["clients"][0]["id"]
    assert "k" * 64 not in str(hosts.ok("bbs_info", client=str(number)))


def test_one_client(hosts: Harness) -> None:
    result = hosts.ok("bbs_info", gather=["clients", "repositories", "plans"], client="web2")
    assert [item["client"] for item in result["repositories"] + result["plans"]] == ["web2", "web2"]
    assert hosts.ok("bbs_info", client="gone")["clients"] == []


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 4),
        ({"status": ["failed"]}, 2),
        ({"status": ["failed"], "client": "web1"}, 1),
        ({"plan": "daily"}, 4),
        ({"plan": "other"}, 0),
        ({"limit": 3}, 3),
    ],
)
def test_jobs(hosts: Harness, filters: dict[str, Any], count: int) -> None:
    jobs = hosts.ok("bbs_info", gather=["jobs"], **filters)["jobs"]
    assert len(jobs) == count
    assert [job["id"] for job in jobs] == sorted((job["id"] for job in jobs), reverse=True)


def test_an_old_failure_is_found(hosts: Harness, upstream: Upstream) -> None:
    """However many other jobs there have been since."""
    for _number in range(250):
        upstream.add_job(upstream.clients[0]["id"], upstream.plans[0], "completed")
    found = hosts.ok("bbs_info", gather=["jobs"], client="web1", status=["failed", "cancelled"])["jobs"]
    assert [job["status"] for job in found] == ["failed"]


def test_server_wide_needs_no_clients(hosts: Harness, upstream: Upstream) -> None:
    upstream.log.clear()
    result = hosts.ok("bbs_info", gather=["queue", "storage"])
    assert result["queue"] == [] and result["storage"]["local"]
    assert [entry[1] for entry in upstream.log] == ["/queue", "/storage"]


def test_limit(hosts: Harness) -> None:
    assert "limit must be from 1 to 200" in hosts.fails("bbs_info", limit=0)


@pytest.fixture
def everything(land: Harness, world: Any) -> Iterator[Harness]:
    """A plan with a job and an archive, beside what the shared server has."""
    land.ok("bbs_plan", client=HOST, name="daily", **PLAN_CASE.create)
    land.ok("bbs_job", client=HOST, plan="daily", wait=False)
    world.add_archive("main", "plan1-2026-11-26_02-00-00")
    yield land
    world.remove_archives()
    land.ok("bbs_job", client=HOST, plan="daily", state="cancelled")
    land.ok("bbs_plan", client=HOST, name="daily", state="absent")


def names(found: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in found]


def test_all_kinds(everything: Harness, world: Any) -> None:
    """Everything that the bundled server has, in check mode as outside it, and nothing is written."""
    gather = list(READERS)
    writes = len(world.writes())
    found = everything.ok("bbs_info", gather=gather)
    assert everything.ok("bbs_info", check=True, gather=gather)["plans"] == found["plans"]
    assert len(world.writes()) == writes and not found["changed"]
    assert set(gather) <= set(found)
    assert names(found["clients"]) == [HOST] and names(found["plans"]) == ["daily"]
    assert names(found["repositories"]) == ["main", "second"]
    assert [(archive["client"], archive["repository"]) for archive in found["archives"]] == [(HOST, "main")]
    assert sorted(names(found["plugin_configs"])) == ["db", "hooks"]
    assert [job["plan_name"] for job in found["queue"]] == ["daily"]
    assert {"mysql_dump", "shell_hook"} <= {plugin["slug"] for plugin in found["plugins"]}
    assert names(found["storage"]["local"]) == ["Default", "Second disk"]


@pytest.mark.parametrize(
    ("kind", "filters", "expected"),
    [
        ("repositories", {"repository": "Second"}, ["second"]),
        ("repositories", {"client": "nobody"}, []),
        ("plans", {"plan": "daily"}, ["daily"]),
        ("plans", {"plan": "other"}, []),
        ("plugin_configs", {"plugin": "mysql_dump"}, ["db"]),
        ("archives", {}, ["plan1-2026-11-26_02-00-00"]),
        ("archives", {"repository": "Main"}, ["plan1-2026-11-26_02-00-00"]),
        ("archives", {"repository": "second"}, []),
        ("archives", {"client": "nobody"}, []),
    ],
)
def test_filters(everything: Harness, kind: str, filters: dict[str, Any], expected: list[str]) -> None:
    assert names(everything.ok("bbs_info", gather=[kind], **filters)[kind]) == expected


@pytest.mark.parametrize(("status", "count"), [(["queued", "sent"], 1), (["failed"], 0)])
def test_jobs_by_status(everything: Harness, status: list[str], count: int) -> None:
    found = everything.ok("bbs_info", gather=["jobs"], client=HOST, plan="daily", status=status)["jobs"]
    assert len([job for job in found if job["status"] in status]) == len(found) >= count
