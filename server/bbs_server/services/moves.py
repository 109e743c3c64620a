# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moving folders of a storage location together with the rows that name them.

A folder that is moved bears a mark that names its former place, from before the move until after the COMMIT. A
request that fails moves it back. What a process that was killed leaves is told by the mark and the rows
(``services.recovery``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bbs_server import durable
from bbs_server.db.errors import OutcomeUnknown
from bbs_server.runtime import Runtime
from bbs_server.services.undo import settle_soon

logger = logging.getLogger(__name__)

MARK = ".bbs-moved-from"
"""A file in the moved folder: its former path, relative to the storage location."""


@dataclass
class Moves:
    """The moves of one request."""

    run: Runtime
    done: list[tuple[Path, Path]] = field(default_factory=list)

    def move(self, location: Path, folder: Path, target: Path) -> None:
        """Move a folder to another place in the same location; a rehearsal leaves it where it is."""
        self.run.act(self._move, location, folder, target)

    def _move(self, location: Path, folder: Path, target: Path) -> None:
        durable.write(folder / MARK, str(folder.relative_to(location)))
        try:
            durable.rename(folder, target)
        except OSError:
            unmark(folder)
            raise
        self.done.append((folder, target))

    def take_back(self) -> None:
        """Move everything back, the last first; one that fails does not stop the others."""
        for folder, target in reversed(self.done):
            try:
                durable.rename(target, folder)
                unmark(folder)
            except OSError as error:
                logger.error("A failed request could not be undone completely: %s", error)

    def settle(self) -> None:
        """The rows are written: the folders are where they belong. A mark that stays is of no consequence."""
        for _, target in self.done:
            with suppress(OSError):
                unmark(target)


@contextmanager
def moving(run: Runtime) -> Iterator[Moves]:
    """Around a transaction, never inside it: its COMMIT may fail, on a full disk for one."""
    moves = Moves(run)
    try:
        yield moves
    except OutcomeUnknown:
        settle_soon(run)
        raise
    except BaseException:
        moves.take_back()
        raise
    moves.settle()


def unmark(folder: Path) -> None:
    """Say that a folder is where it belongs."""
    (folder / MARK).unlink(missing_ok=True)


def former_place(location: Path, folder: Path) -> Path | None:
    """Where a folder was before a move that has not been settled; None when there is none."""
    try:
        told = (folder / MARK).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    parts = Path(told).parts
    return location / told if parts and ".." not in parts and not told.startswith("/") else None
