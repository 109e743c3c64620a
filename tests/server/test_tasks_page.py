# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/tasks.md is complete: every kind of job, every way to end, and only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from bbs_server.services import jobs, tasks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")

WAYS = (
    "completed", "warning", "failed", "cancelled", "agent lost", "server lost", "repository busy", "disk full",
)  # fmt: skip


def sections() -> dict[str, str]:
    """The table of each heading that names kinds of jobs."""
    parts = re.split(r"^### (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_kind_of_job_is_there() -> None:
    named = {kind for heading in sections() for kind in heading.split(", ")}

    assert named == {*jobs.SERVER_TASKS, *tasks.KINDS}


def test_every_way_to_end_is_told_and_shown() -> None:
    for heading, text in sections().items():
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
        assert [row[0] for row in rows[1:]] == list(WAYS), heading
        for way, seen, shown in rows[1:]:
            assert seen == "cannot happen" or "::" in shown, f"{heading}: nothing shows {way}."


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))
    assert len(named) > 40
    missing = [f"{file}::{name}" for file, name in sorted(named) if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []
