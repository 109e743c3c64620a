# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new agent is on probation until the server has heard of it; one that fails gives way to the old one."""

import os
import shutil

from .config import Layout
from .files import read_json, remove, write_json
from .logs import LOG
from .reports import amend

# Starts that ended in no known way: a crash, a kill, a power cut.
MOST_STARTS = 2
OLD = ".old"


class Probation:
    """The note `update.json`, which is there from the replacement of the agent until it has proved itself."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def replace(self, zipapp: str, new: str, version: str) -> None:
        """Put the file `new` into the place of `zipapp`, which is kept beside it."""
        # A second name first, so that at no moment there is no agent.
        remove(zipapp + OLD)
        shutil.copy2(zipapp, zipapp + OLD)
        write_json(self._layout.update, {"zipapp": zipapp, "version": version, "starts": 0})
        os.replace(new, zipapp)

    def begins(self) -> bool:
        """An agent starts. True when it was tried often enough and the old one is back in its place."""
        note = read_json(self._layout.update)
        if note is None:
            return False
        starts = int(note.get("starts") or 0)
        if starts >= MOST_STARTS:
            return self.failed()
        write_json(self._layout.update, dict(note, starts=starts + 1))
        return False

    def failed(self) -> bool:
        """The agent has an error. True when it was on probation and the old one is back in its place."""
        note = read_json(self._layout.update)
        if note is None or not os.path.exists(str(note.get("zipapp")) + OLD):
            return False
        reason = "The new agent (version {}) did not stay up; the old one runs again.".format(note.get("version"))
        LOG.error("%s", reason)
        os.replace(note["zipapp"] + OLD, note["zipapp"])
        amend(self._layout.journal, {"result": "failed", "error_log": reason})
        remove(self._layout.update)
        return True

    def paused(self) -> None:
        """The agent was stopped on purpose: that start does not count."""
        note = read_json(self._layout.update)
        if note is not None:
            write_json(self._layout.update, dict(note, starts=0))

    def passed(self) -> None:
        """The server has registered this agent: the old one is not needed any more."""
        note = read_json(self._layout.update)
        if note is not None:
            LOG.info("The new agent (version %s) works", note.get("version"))
            remove(str(note.get("zipapp")) + OLD)
            remove(self._layout.update)
