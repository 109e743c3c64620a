# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories in the making: beside their final place, under a name of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bbs_server import temporary
from bbs_server.runtime import Runtime

_PREFIX = ".new-"
_REPOSITORY = "repository"


@contextmanager
def draft(run: Runtime, parent: Path) -> Iterator[Path]:
    """Where a repository may be made; gone after the ``with`` block unless it was moved away."""
    if run.rehearsing:
        yield parent / _PREFIX / _REPOSITORY
        return
    with temporary.folder(parent, _PREFIX) as folder:
        yield folder / _REPOSITORY


def holder(folder: Path) -> Path | None:
    """The folder to be removed when ``folder`` is, or is in, a repository in the making; else None."""
    return next((item for item in (folder, folder.parent) if item.name.startswith(_PREFIX)), None)
