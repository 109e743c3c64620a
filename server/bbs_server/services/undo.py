# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking back what a request did outside the database when its transaction fails, COMMIT included."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bbs_server.db.errors import OutcomeUnknown
from bbs_server.runtime import Runtime

logger = logging.getLogger(__name__)


class Undo:
    """The steps that take back what was done so far."""

    def __init__(self, run: Runtime) -> None:
        self._rehearsing = run.rehearsing
        self._steps: list[Callable[[], Any]] = []

    def by(self, step: Callable[..., Any], *arguments: Any) -> None:
        """Note how to take back what was done; a rehearsal has done nothing."""
        if not self._rehearsing:
            self._steps.append(partial(step, *arguments))

    def take_back(self) -> None:
        """Take everything back, the last thing first; one step that fails does not stop the others."""
        for step in reversed(self._steps):
            try:
                step()
            except OSError as error:
                logger.error("A failed request could not be undone completely: %s", error)


def settle_soon(run: Runtime) -> None:
    """Have the worker look soon at what is half done (``services.recovery``): rows will say what was meant to be."""
    request(run).touch()


def request(run: Runtime) -> Path:
    """A file that is there when the worker is asked to look."""
    return run.settings.run_directory / "unsettled"


@contextmanager
def undoing(run: Runtime) -> Iterator[Undo]:
    """Around a transaction, never inside it: its COMMIT may fail, on a full disk for one."""
    undo = Undo(run)
    try:
        yield undo
    except OutcomeUnknown:
        settle_soon(run)
        raise
    except BaseException:
        undo.take_back()
        raise
