# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Simulated agents: they speak the real agent API, and what they do with a task is decided by a cue."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbs_agent import VERSION
from bbs_agent.api import Api, ApiError, KeyRejected
from bbs_server.dev import archives
from bbs_server.dev.cues import Behaviour

TURN_SECONDS = 0.25

_SILENT = (None, Behaviour.OFFLINE)

Report = dict[str, Any]


class _Silence(Exception):
    """The agent is to say nothing more for now."""


class _Cancelled(Exception):
    """The server wants the job to end."""


@dataclass
class Agent:
    """The agent of one client, in a thread of its own.

    :param cue: what it is to do now; None is silence as well.
    :param storage: the server's first storage location, where its archives go.
    :param borg_directory: borg's own state.
    :param tell: is told one line about each thing that happens.
    """

    name: str
    api: Api
    cue: Callable[[str], Behaviour | None]
    storage: Path
    borg_directory: Path
    tell: Callable[[str], None]
    stopping: threading.Event
    registered: threading.Event = field(default_factory=threading.Event)
    _client_id: int = 0

    def start(self) -> threading.Thread:
        """Begin; the thread ends when the agent's key is not valid any more, or when ``stopping`` is set."""
        thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._turn()
            except KeyRejected:
                self.tell(f"{self.name}: the key is not valid any more")
                return
            except _Silence:
                pass
            except ApiError as error:
                if not self.stopping.is_set():
                    self.tell(f"{self.name}: {error}")
            self.stopping.wait(TURN_SECONDS)

    def _turn(self) -> None:
        if not self.registered.is_set():
            self._register()
        if self.cue(self.name) in _SILENT:
            return
        reply = self.api.tasks()
        for job_id in reply.get("check_jobs", []):
            # It fell silent on cue in the middle of that job.
            self.api.status({"job_id": job_id, "result": "abandoned"})
        for task in reply["tasks"]:
            self._work(task)

    def _register(self) -> None:
        facts = {"hostname": self.name, "os_info": "simulated by bbs-server dev", "agent_version": VERSION}
        self._client_id = self.api.register(facts)["agent_id"]
        self.registered.set()
        self.tell(f"{self.name}: registered")

    def _work(self, task: dict[str, Any]) -> None:
        job = {name: task[name] for name in ("job_id", "attempt")}
        self.api.progress({**job, "status_message": "Simulated by bbs-server dev"})
        try:
            report = _OUTCOMES[self._released(job)](self, task)
        except _Cancelled:
            report = {"result": "failed", "error_log": "cancelled"}
        self.api.status({**job, **report})
        self.tell(f"{self.name}: job {task['job_id']} ({task['task']}): {report['result']}")

    def _released(self, job: Report) -> Behaviour | None:
        """Hang for as long as the cue says so; returns what to do then."""
        while (behaviour := self.cue(self.name)) is Behaviour.HANG and not self.stopping.is_set():
            if self.api.progress({**job, "status_message": "Simulated: hangs"}).get("cancel"):
                raise _Cancelled
            self.stopping.wait(TURN_SECONDS)
        if behaviour in _SILENT or self.stopping.is_set():
            raise _Silence
        return behaviour

    def _succeed(self, task: dict[str, Any]) -> Report:
        if task["task"] == "list_dir":
            listing: dict[str, Any] = {"path": task.get("path"), "entries": [], "truncated": False}
            return {"result": "completed", "output_log": json.dumps(listing)}
        if task["task"] != "backup":
            return {"result": "completed", "files_processed": 1, "output_log": "Simulated: nothing was done."}
        try:
            made = archives.make(task, self._client_id, self.storage, self.borg_directory)
        except archives.NoArchive as reason:
            return {"result": "failed", "error_log": str(reason)}
        return {"result": "completed", **made}

    def _warn(self, task: dict[str, Any]) -> Report:
        warning = {"had_warnings": True, "error_log": "Simulated: a file changed while it was read."}
        report = self._succeed(task)
        return {**report, **warning} if report["result"] == "completed" else report

    def _fail(self, _task: dict[str, Any]) -> Report:
        return {"result": "failed", "error_log": "Simulated: the task failed."}


_OUTCOMES: dict[Behaviour | None, Callable[[Agent, dict[str, Any]], Report]] = {
    Behaviour.SUCCEED: Agent._succeed,
    Behaviour.WARN: Agent._warn,
    Behaviour.FAIL: Agent._fail,
}
