# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plugins of one backup, in order: before borg, after the report, clean-up (§11)."""

from typing import Any, Dict, List

from ..cancel import Cancelled
from ..host import Host
from ..job import Job, TaskError
from ..logs import LOG
from . import PLUGINS, SERVER_SIDE
from .base import Plugin, PluginError, PluginScope

COMPLETED = "completed"


class PluginSession:
    """`before` may abort the backup; `after` never changes its result any more."""

    def __init__(self, job: Job, host: Host) -> None:
        self.problems: List[str] = []
        self._job = job
        self._scope = PluginScope(job, host)
        self._begun: List[Plugin] = []
        self._aborted = False

    def before(self) -> None:
        """Run the first step of each plugin.

        A failing one is a warning unless its config says `abort_on_failure`; then TaskError ends the
        backup before borg starts and, as the contract has it, no post script runs.
        """
        for entry in self._job.task.get("plugins") or []:
            slug = str(entry.get("slug") or "")
            if slug in SERVER_SIDE:
                LOG.info("Job %s: %s is done by the server", self._job.id, slug)
            elif slug in PLUGINS:
                self._prepare(PLUGINS[slug](entry, self._scope))
            else:
                self._failed("This agent has no plugin {!r}.".format(slug), aborts=False)

    def after(self, result: str) -> None:
        """Post scripts always, removal of dumps only when the backup completed."""
        if self._aborted:
            return
        for plugin in self._begun:
            try:
                self._tell(plugin.post(result))
                if result == COMPLETED:
                    self._tell(plugin.clean_up())
            except (PluginError, OSError) as error:
                self._job.log("{}: {}".format(plugin.label, error), "error")
            except Cancelled as reason:
                LOG.warning("Job %s: %s: %s", self._job.id, plugin.label, reason)

    def databases(self) -> List[Dict[str, Any]]:
        """The groups of `databases_backed_up` (§10.4)."""
        groups = [plugin.database_group() for plugin in self._begun]
        return [group for group in groups if group is not None]

    def _prepare(self, plugin: Plugin) -> None:
        self._job.say("Running plugin: " + plugin.label)
        self._begun.append(plugin)
        try:
            text = plugin.pre()
        except (PluginError, OSError) as error:
            self._failed("{}: {}".format(plugin.label, error), plugin.aborts)
        else:
            self._tell(text)

    def _failed(self, message: str, aborts: bool) -> None:
        message = self._job.clean(message)
        if aborts:
            self._aborted = True
            raise TaskError(message)
        self.problems.append(message)
        self._job.log(message, "warning")

    def _tell(self, text: str) -> None:
        if text:
            self._job.log(text)
