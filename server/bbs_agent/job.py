# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task while it runs: its progress, its cancel token, its log lines."""

import threading
import time
from typing import Any, Dict, Tuple

from .api import Api, ApiError
from .cancel import CANCELLED, CancelToken
from .logs import LOG
from .orphans import Orphans
from .process import Runner
from .redact import Redactor
from .timing import Timing

Task = Dict[str, Any]
LONGEST_STATUS = 255
LONGEST_LOG_LINE = 2000


class TaskError(Exception):
    """A task cannot be done; the text is one sentence for a person and becomes the error log."""


class Job:
    """Everything a task handler needs to report and to be stopped. Used by two threads.

    The handler says what it does; the pulse (pulse.py) sends counters and learns of a cancel, so a
    server that is slow or away never holds up borg.
    """

    def __init__(self, task: Task, api: Api, timing: Timing, redactor: Redactor, orphans: Orphans) -> None:
        self.task = task
        self.id = int(task["job_id"])
        # Goes with every report: what is late must not be taken for news of a newer attempt.
        self.identity = dict({"attempt": task["attempt"]} if "attempt" in task else {}, job_id=self.id)
        self.kind = str(task.get("task") or "")
        self.token = CancelToken()
        self.last_report = time.monotonic()
        self.last_sign = self.last_report
        self._api = api
        self._timing = timing
        self._redactor = redactor
        self._orphans = orphans
        self._lock = threading.Lock()
        self._counters: Dict[str, int] = {}
        self._sent: Dict[str, int] = {}
        self._closing = False

    def runner(self) -> Runner:
        """Starts children that this job's cancel stops."""
        return Runner(self.token, self._timing.kill_grace, self._orphans)

    def clean(self, text: str) -> str:
        """Text for a report, with known secrets masked."""
        return self._redactor.clean(text)

    def say(self, message: str, **counters: int) -> None:
        """Announce a phase. Raises Cancelled when the job is to end."""
        LOG.info("Job %s: %s", self.id, message)
        self.count(**counters)
        self._send(dict(counters, status_message=self.clean(message)[:LONGEST_STATUS]))
        self.token.check()

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the server's log of this job. Raises Cancelled when the job is to end."""
        {"info": LOG.info, "warning": LOG.warning, "error": LOG.error}[level]("Job %s: %s", self.id, message)
        self._send({"log_message": self.clean(message)[:LONGEST_LOG_LINE], "log_level": level})
        self.token.check()

    def count(self, **counters: int) -> None:
        """Set counters (`files_processed`, `bytes_total`, …); the pulse sends them when due."""
        with self._lock:
            self._counters.update(counters)
            self.last_sign = time.monotonic()

    def counters(self) -> Tuple[Dict[str, int], bool]:
        """The counters now, and whether they differ from those the server has."""
        with self._lock:
            return dict(self._counters), self._counters != self._sent

    def report_counters(self) -> None:
        """Send the counters, or only the question whether to go on."""
        self._send(self.counters()[0])

    def cancel(self, reason: str) -> None:
        """Stop the job from any thread; during the closing phase only the agent's end counts."""
        self.token.cancel(reason)

    def server_cancels(self, reason: str = CANCELLED) -> None:
        """The server wants the job to end.

        Once it is over the server keeps saying so; the post scripts still run.
        """
        if not self._closing:
            LOG.warning("Job %s: %s", self.id, reason)
            self.token.cancel(reason)

    def close(self) -> None:
        """The result stands: what follows (post scripts, clean-up) is not undone by a cancel."""
        self._closing = True
        self.token = CancelToken()

    def _send(self, report: Dict[str, Any]) -> None:
        self.last_report = time.monotonic()
        try:
            reply = self._api.progress(dict(report, **self.identity))
        except ApiError as error:
            # Progress is a courtesy: the backup goes on, the final report is what must arrive.
            LOG.info("Job %s: progress not delivered: %s", self.id, error)
            return
        with self._lock:
            self._sent.update({name: report[name] for name in self._counters if name in report})
        if reply.get("cancel"):
            self.server_cancels()
