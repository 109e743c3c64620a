# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``repo_check``, ``repo_repair`` and ``break_lock``."""

from __future__ import annotations

from bbs_server.server_tasks import records
from bbs_server.server_tasks.work import Work, text

_FOUND_DAMAGE = 2
"""Borg's exit code when it has found so much damage that it stops looking; 1 for less."""


def check(work: Work) -> str:
    """Let borg look for damage, and compare the records with its list."""
    # Borg ends "with warnings" when it has found damage.
    told = work.borg("check", "--verbose", accept=0).log
    found = records.record_unknown(work)
    return text(told, "The repository is sound.", f"{found} archives were added to the records." if found else "")


def repair(work: Work) -> str:
    """Let borg replace what is damaged; what cannot be replaced is lost, so a repair deserves a look."""
    found = work.borg("check", "--verbose", accept=_FOUND_DAMAGE)
    if not found.warnings:
        return text(found.log, "The repository is sound: there is nothing to repair.")
    return text(found.log, work.borg("check", "--repair", "--verbose").log, "The repository was repaired.")


def break_lock(work: Work) -> str:
    """Remove locks that a borg that is gone has left."""
    work.borg("break-lock")
    return "Locks left behind were removed."
