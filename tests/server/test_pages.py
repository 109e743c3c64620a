# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that grow with the fleet can be told in parts, and are whole where nobody asks for a part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee
import pytest

from bbs_server.models import Archive, Job

from .conftest import Server, make_server
from .test_fleet_size import fill

CLIENTS = 7
LISTS = {
    "/clients": "clients",
    "/repositories": "repositories",
    "/schedules": "schedules",
    "/queue": "queue",
    "/clients/1/repositories/1/archives": "archives",
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with make_server(tmp_path_factory.mktemp("pages")) as server:
        fill(server, range(CLIENTS))
        with server.run.database.connection_context():
            Job.update(status="queued").execute()
            for number in range(CLIENTS):
                Archive.create(repository=1, name=f"a{number}", created_at=server.clock())
        yield server


def part(server: Server, path: str, query: str = "") -> list[Any]:
    found: list[Any] = server.get(f"{path}{query}")[LISTS[path]]
    return found


@pytest.mark.parametrize("path", LISTS)
def test_parts_together_are_the_list(fleet: Server, path: str) -> None:
    whole = part(fleet, path)
    parts = [part(fleet, path, f"?limit=3&offset={offset}") for offset in (0, 3, 6, 9)]

    assert len(whole) == CLIENTS
    assert [len(each) for each in parts] == [3, 3, 1, 0]
    assert [each for one in parts for each in one] == whole
    assert part(fleet, path, "?offset=5") == whole[5:]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "offset=-1", "limit=many"])
def test_a_part_that_cannot_be_is_refused(fleet: Server, path: str, query: str) -> None:
    reply = fleet.call("GET", f"{path}?{query}")

    assert reply.status_code == 400
    assert reply.json["error"].startswith(f"{query.split('=')[0]}: must be a whole number")


def test_a_page_of_clients_is_not_sorted_out_of_all(fleet: Server) -> None:
    if not isinstance(fleet.run.database, peewee.SqliteDatabase):
        pytest.skip("PostgreSQL reads so few rows from end to end.")
    with fleet.run.database.connection_context():
        query = 'SELECT "id" FROM "clients" AS "t1" ORDER BY LOWER("t1"."name"), "t1"."id" LIMIT 3'
        told = fleet.run.database.execute_sql(f"EXPLAIN QUERY PLAN {query}").fetchall()

    assert "clients_by_name" in told[0][3]
