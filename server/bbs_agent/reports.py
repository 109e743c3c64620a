# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Final reports: kept on disk until the server has them (agent-protocol.md §5.4)."""

import hashlib
from typing import Any, Callable, Dict, Optional

from .api import Api, ApiError
from .cancel import AGENT_STOPPED
from .files import read_json, remove, write_json
from .logs import LOG
from .timing import Timing

Report = Dict[str, Any]
# Waits, and says whether the agent should end.
Wait = Callable[[float], bool]


class Reports:
    """Delivers one job's result at a time, also over a restart of the agent.

    The journal names the running job; with a report in it, the job is done and the server does not
    know yet. So a killed agent says at its next start what became of the job it left behind.
    """

    def __init__(self, api: Api, journal: str, key: str, timing: Timing, wait: Wait) -> None:
        self._api = api
        self._journal = journal
        self._timing = timing
        self._wait = wait
        self._owner = _owner(api, key)
        self._pending: Optional[Report] = None

    def change_key(self, key: str) -> None:
        """The client has another key; what was kept is still its own."""
        kept, before = read_json(self._journal), self._owner
        self._owner = _owner(self._api, key)
        if kept is not None and kept.get("owner") == before:
            self._write(kept, kept.get("report"))

    def begin(self, identity: Dict[str, Any]) -> None:
        """A job starts; `identity` is its `job_id`, with the `attempt` where the server counts them."""
        self._write(identity, None)

    def finish(self, report: Report) -> None:
        """A job is over: keep the report and try once to deliver it."""
        self._pending = report
        self._write(report, report)
        self._try()

    def keep(self, report: Report) -> None:
        """A job is over for this process: `recover` of the next one delivers the report."""
        self._write(report, report)

    def flush(self) -> None:
        """Try until the server has the report, or the agent must end."""
        attempt = 0
        while self._pending is not None:
            retries = self._timing.retries
            seconds = retries[min(attempt, len(retries) - 1)]
            LOG.warning("The report of job %s waits %g s for the server", self._pending["job_id"], seconds)
            if self._wait(seconds):
                return
            self._try()
            attempt += 1

    def recover(self) -> None:
        """At the start: take up what the last process could not finish."""
        journal = read_json(self._journal)
        if journal is None or journal.get("owner") != self._owner or "job_id" not in journal:
            remove(self._journal)
            return
        report = journal.get("report")
        if not isinstance(report, dict):
            LOG.warning("Job %s was interrupted when the agent ended", journal["job_id"])
            # Not "failed": nobody knows. The server looks for the archive, and tries a backup again.
            report = {
                "job_id": journal["job_id"],
                "result": "abandoned",
                "error_log": AGENT_STOPPED + ": the agent ended while this job was running",
            }
        self.finish(report)

    def send(self, report: Report) -> bool:
        """Deliver any report once; True when there is no point in sending it again."""
        try:
            self._api.status(report)
        except ApiError as error:
            LOG.warning("Report of job %s: %s", report["job_id"], error)
            return error.final
        return True

    def _try(self) -> None:
        if self._pending is not None and self.send(self._pending):
            self._pending = None
            remove(self._journal)

    def _write(self, identity: Dict[str, Any], report: Optional[Report]) -> None:
        try:
            write_json(self._journal, dict(_identity(identity), owner=self._owner, report=report))
        except OSError as error:
            LOG.warning("Cannot keep the journal: %s", error)


def _owner(api: Api, key: str) -> str:
    """Whose journal it is: one of another server or client must not be delivered to this one."""
    return hashlib.sha256((api.url + "\n" + key).encode("utf-8")).hexdigest()


def amend(journal: str, report: Dict[str, Any]) -> None:
    """Change the report that is kept in a journal, so that `recover` delivers what has become of the job."""
    kept = read_json(journal)
    if kept is not None and isinstance(kept.get("report"), dict):
        write_json(journal, dict(kept, report=dict(report, **_identity(kept))))


def _identity(values: Dict[str, Any]) -> Dict[str, Any]:
    """Which job, and which attempt at it."""
    return {name: values[name] for name in ("job_id", "attempt") if name in values}
