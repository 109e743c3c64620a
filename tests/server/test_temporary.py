# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary folders go with their makers, whatever happens to those."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bbs_server import temporary

MAKER = """
import pathlib, sys, time
from bbs_server import temporary
with temporary.folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "key").write_text("secret")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_one_that_is_used_stays_and_one_whose_maker_was_killed_goes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout
        folder = Path(maker.stdout.readline().strip())
        with temporary.folder(tmp_path) as own:
            assert temporary.sweep(tmp_path) == []
            assert folder.stat().st_mode & 0o777 == 0o700
            maker.kill()
            maker.wait()
            assert temporary.sweep(tmp_path) == [folder]
            assert sorted(tmp_path.iterdir()) == sorted([own, tmp_path / "file"])
    assert not own.exists()


def test_one_that_was_swept_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []
    lock = temporary._open

    def swept_first(made: Path) -> int:
        if not swept:
            swept.append(made)
            monkeypatch.setattr(temporary, "_open", lock)
            assert temporary.remove_abandoned(made)
        return lock(made)

    monkeypatch.setattr(temporary, "_open", swept_first)
    with temporary.folder(tmp_path) as folder:
        assert [folder] != swept
        assert (folder / ".lock").exists()
