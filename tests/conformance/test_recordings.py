# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our server answers as the recorded one, but for the differences listed in docs/differences.md."""

from __future__ import annotations

import pytest

from . import differences, recordings
from .compare import Difference
from .recordings import FILES


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_every_difference_is_listed(file: str, replayed: dict[str, list[Difference]]) -> None:
    rows = differences.rows()
    unlisted = [str(found) for found in replayed[file] if not any(row.accepts(found) for row in rows)]

    assert not unlisted, f"{len(unlisted)} differences are not in {differences.FILE.name}:\n" + "\n".join(unlisted)


@pytest.mark.slow
def test_every_listed_difference_exists(replayed: dict[str, list[Difference]]) -> None:
    found = [difference for file in FILES for difference in replayed[file]]
    stale = [f"{row.reason}: {line}" for row in differences.rows() for line in row.stale(found)]

    assert not stale, "rows that match nothing any more:\n" + "\n".join(stale)


def test_every_row_gives_a_reason() -> None:
    assert all(row.reason for row in differences.rows())


def test_without_the_recordings_it_is_skipped_but_not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "__file__", "/nowhere/recordings.py")
    monkeypatch.delenv(recordings.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"put them into \.\./shared/reference"):
        recordings.nullable()

    monkeypatch.setenv(recordings.REQUIRED, "required")
    with pytest.raises(FileNotFoundError, match=r"put them into \.\./shared/reference"):
        recordings.nullable()
