# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two worker processes on one database, killed with SIGKILL at random moments: each due time is queued once."""

from __future__ import annotations

from pathlib import Path

import pytest

from .soak import soak


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_when_workers_are_killed(tmp_path: Path) -> None:
    tally = soak(tmp_path, seconds=20, workers=2, seed=7)

    assert (tally.lost, tally.doubled) == (0, 0), f"{tally}\n{(tmp_path / 'workers.log').read_text()[-4000:]}"
    assert tally.runs > 20
    assert tally.server_jobs > 1
    assert tally.disturbances["kill"] > 1
