# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server killed with SIGKILL at random moments, while a playbook provisions and agents report.

``make crash`` does it 200 times.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..database_servers import open_directory, postgres
from .crash import ROOT, crash, site

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from collection_path import provide

provide()


@pytest.mark.slow
def test_what_was_acknowledged_outlives_kills(tmp_path: Path) -> None:
    with site(tmp_path, seed=8) as made:
        kept = crash(made, kills=4)
    assert kept.there
    assert kept.jobs
    assert made.rounds


@pytest.mark.slow
def test_so_it_does_on_postgresql(tmp_path: Path) -> None:
    with open_directory() as directory, postgres(directory / "pg") as cluster:
        cluster.sql("CREATE DATABASE bbs")
        with site(tmp_path, seed=9, database_url=cluster.url("bbs")) as made:
            kept = crash(made, kills=2)
    assert kept.there
    assert kept.jobs
