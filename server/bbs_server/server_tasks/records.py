# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of archives, compared with borg's own list: the repository is what counts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from bbs_server.borg.command import BorgError
from bbs_server.models import Archive, Plan
from bbs_server.server_tasks.work import Work
from bbs_server.services import catalogues
from bbs_server.services.repositories import LOCK_PREFIX

_UNREADABLE = "Borg's list of archives could not be read; the records stay as they were."


def existing(work: Work) -> set[str]:
    """The names of the repository's archives, as borg lists them.

    :raises BorgError: the list cannot be read; nothing may be concluded from it.
    """
    try:
        return {archive["name"] for archive in json.loads(work.borg("list", "--json", accept=0).output)["archives"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BorgError(_UNREADABLE) from error


def vanished(work: Work) -> list[str]:
    """Recorded archives that no job has removed, and that are gone all the same."""
    there = existing(work)
    return sorted(archive.name for archive in work.repository.archives if archive.name not in there)


def forget_gone(work: Work) -> int:
    """Remove the records of archives that borg does not list any more; returns how many."""
    there = existing(work)
    gone = [archive for archive in work.repository.archives if archive.name not in there]
    for archive in gone:
        catalogues.forget(work.run, archive)
        archive.delete_instance()
    return len(gone)


def record_unknown(work: Work) -> int:
    """Record the archives that borg lists and nobody has reported: their agent was cut off, or they were made by hand.

    :return: how many there were.
    """
    recorded = {archive.name for archive in work.repository.archives}
    unknown = sorted(existing(work) - recorded)
    for name in unknown:
        work.go_on()
        _record(work, name)
    return len(unknown)


def _record(work: Work, name: str) -> None:
    try:
        told: dict[str, Any] = json.loads(work.borg("info", "--json", archive=name).output)["archives"][0]
        sizes, started = told["stats"], datetime.fromisoformat(told["start"]).astimezone(UTC)
        columns = {
            "file_count": int(sizes["nfiles"]),
            "original_size": int(sizes["original_size"]),
            "deduplicated_size": int(sizes["deduplicated_size"]),
            "created_at": started,
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BorgError(f"What borg tells of the archive {name} could not be read.") from error
    Archive.get_or_create(repository=work.repository, name=name, defaults={"plan": _plan(work, name), **columns})


def _plan(work: Work, name: str) -> Plan | None:
    """The plan whose archives have such names (agent-protocol.md §7.1), if it is one of this repository."""
    found = re.match(r"plan(\d{1,18})-", name.removeprefix(LOCK_PREFIX))
    plan: Plan | None = work.repository.plans.where(Plan.id == int(found[1])).first() if found else None
    return plan
