# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL killed with SIGKILL while the server works: it says so, and goes on by itself afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bbs_server.models import Job
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.settings import Settings

from ..database_servers import open_directory, postgres
from .crash import PATIENCE_SECONDS, Site, in_use, site, verify
from .live_server import children

KILLS = 2
DOWN_SECONDS = 0.3
"""So long the database stays away."""


def wait_for_reports(made: Site, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(made.acknowledged.jobs) < count:
        assert time.monotonic() < deadline
        assert not made.faults, made.faults
        time.sleep(0.02)


@pytest.mark.slow
def test_the_server_goes_on_when_its_database_is_back(tmp_path: Path) -> None:
    with open_directory() as directory, postgres(directory / "pg") as cluster:
        cluster.sql("CREATE DATABASE bbs")
        with site(tmp_path, seed=3, database_url=cluster.url("bbs")) as made:
            before = children(made.supervisor() or 0)
            with in_use(made):
                for _ in range(KILLS):
                    wait_for_reports(made, len(made.acknowledged.jobs) + 1)
                    time.sleep(made.chance.uniform(0, 0.3))
                    cluster.kill()
                    time.sleep(DOWN_SECONDS)
                    cluster.start()
                wait_for_reports(made, len(made.acknowledged.jobs) + 1)
            assert not made.faults, made.faults
            assert made.unavailable
            assert before <= children(made.supervisor() or 0), "a process had to be started again"
            verify(made)
            run = Runtime.open(Settings.load(made.server.config))
            with run.database.connection_context():
                jobs = list(Job.select())
            run.close()
    assert len(jobs) >= KILLS
    assert {job.status for job in jobs} <= {states.QUEUED, states.COMPLETED}
    assert {job.attempt for job in jobs if job.status == states.COMPLETED} == {1}, "one was worked on twice"
