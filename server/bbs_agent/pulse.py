# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The background thread of a running job: counters, heartbeats, and news of a cancel."""

import threading
import time
from typing import Any, Callable, List

from .api import Api, ApiError
from .job import Job
from .logs import LOG
from .timing import Timing

ASKED_IN_SILENCE = 30 * 60.0
STALLED = "cancelled: the server saw no progress for too long"


class Pulse:
    """A context manager: beats while the block runs (agent-protocol.md §5.3, §5.5)."""

    def __init__(self, job: Job, api: Api, timing: Timing, interval: float, abandon: Callable[[int], None]) -> None:
        """`interval`: seconds between heartbeats. `abandon` reports a job that does not run here."""
        self._job = job
        self._api = api
        self._timing = timing
        self._interval = interval
        self._abandon = abandon
        self._done = threading.Event()
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_exc: Any) -> None:
        self._done.set()
        # A request that hangs must not hold up the final report; a late one does no harm.
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._done.wait(self._timing.tick):
            now = time.monotonic()
            self._report(now - self._job.last_report)
            if now - self._last_beat >= self._interval:
                self._last_beat = now
                self._beat()

    def _report(self, since: float) -> None:
        _counters, changed = self._job.counters()
        due = changed and since >= self._timing.progress
        # An upstream server tells of a cancel in progress replies only (§14.2), so ask. But asking
        # counts as progress there: for ever, it would hide a borg that hangs from its stall check.
        silence = time.monotonic() - self._job.last_sign
        asking = since >= self._interval and silence < ASKED_IN_SILENCE
        if due or asking:
            self._job.report_counters()

    def _beat(self) -> None:
        try:
            reply = self._api.heartbeat()
        except ApiError as error:
            LOG.info("Heartbeat not delivered: %s", error)
            return
        if self._job.id in job_ids(reply.get("cancel_job")):
            self._job.server_cancels()
        for job_id in job_ids(reply.get("check_jobs")):
            if job_id == self._job.id:
                self._job.server_cancels(STALLED)
            else:
                self._abandon(job_id)


def job_ids(value: Any) -> List[int]:
    """Job ids in a reply: one number or a list; anything else is no id."""
    values = value if isinstance(value, list) else [value]
    return [int(item) for item in values if isinstance(item, (int, str)) and str(item).isdigit()]
