# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: a plan's runs (admin-api.md §5.5). Start one and wait for it, end one, or run a failed one again."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable

from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import CONFLICT
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    ApiError,
    BbsError,
    InvalidOption,
    NotFound,
    RouteMissing,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import (
    Object,
    client_ref,
    existing,
    missing,
    named,
    written,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._moment import from_wire, utc_now
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result, Task

ACTIVE = ("queued", "sent", "running")
BACKUP = "backup"
LOG_LINES = 10
# As many as a server gives at once: a plan that rarely runs must not drown among those that often do.
RECENT_JOBS = 200


class Jobs:
    """One job of a client within one task.

    :param clock: seconds, from any start
    :param now: the time of day, for comparing with the server's
    :param sleep: takes seconds
    """

    def __init__(
        self,
        task: Task,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.task = task
        self.api = task.api
        self.clock = clock
        self.sleep = sleep
        self.now = now
        self.client_id: int | None = None
        self.plan: Object | None = None

    def run(self) -> Result:
        params = self.task.params
        self.client_id = client_ref(self.task, params["client"]).id
        if params["plan"] is not None:
            self.plan = self.find_plan(written("plan", params["plan"]))
        steps: dict[str, Callable[[], tuple[bool, Object | None]]] = {
            "triggered": self.trigger,
            "cancelled": self.cancel,
            "retried": self.retry,
        }
        changed, job = steps[params["state"]]()
        if job is not None and params["wait"] and params["state"] != "cancelled" and not self.task.check_mode:
            job = self.finished(job, changed)
        return {
            "changed": changed,
            "job": job,
            "id": (job or {}).get("id"),
            "diff": {"before": {}, "after": {"state": params["state"]} if changed else {}},
        }

    def find_plan(self, name: str) -> Object | None:
        """The plan by name; None when check mode only imagines it."""
        if self.client_id is None:
            return None
        found = named(self.api, f"/clients/{self.client_id}/plans", "plans", "plan", name)
        return found or ({} if missing(self.task, "plan", name, "bbs_plan") else None)

    def trigger(self) -> tuple[bool, Object | None]:
        """Queue a run, or join the one that is already under way."""
        if self.client_id is None or not self.plan:
            return True, None
        recent = self.recent()
        if recent is not None:
            return False, recent
        if self.task.check_mode:
            running = self.active(BACKUP)
            return running is None, running
        try:
            return True, self.queued()
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            running = self.active()
            if running is None:
                raise
            if running["task_type"] == BACKUP:
                return False, running
            # Upstream lets a plan's prune stand in the way of its next backup (admin-api.md §10, 10).
            if not self.task.params["wait"]:
                raise
            self.finished(running, started=True)
            return True, self.queued()

    def queued(self) -> Object:
        """Trigger the plan."""
        if self.plan is None:
            raise AssertionError("only jobs of a plan are triggered")
        path = f"/clients/{self.client_id}/plans/{self.plan['id']}/trigger"
        answer = self.api.post(path, {}, partial(self.active, BACKUP))
        return self.job(answer.get("job_id") or answer["id"])

    def recent(self) -> Object | None:
        """The plan's last completed backup, if it is not older than ``maximum_age``."""
        seconds = self.task.params["maximum_age"]
        completed = self.listed("completed", BACKUP) if seconds is not None else []
        if not completed:
            return None
        ended = from_wire(completed[0]["completed_at"])
        return self.job(completed[0]["id"]) if self.now() - ended <= timedelta(seconds=seconds) else None

    def cancel(self) -> tuple[bool, Object | None]:
        # Cancelling a backup makes the server queue a job that breaks borg's lock: that one has to run.
        job = self.chosen() or self.active(BACKUP)
        if job is None or job["status"] not in ACTIVE:
            return False, job
        if not self.task.check_mode:
            self.command(job, "cancel", partial(self.ended, job))
            job = self.job(job["id"])
        return True, job

    def retry(self) -> tuple[bool, Object | None]:
        """Run a failed job again; the latest of the plan unless the task names one."""
        job = self.chosen() or self.latest()
        if job is None:
            raise NotFound(f"The plan {self.task.params['plan']} has no job that could be run again.")
        if job["status"] != "failed":
            return False, job
        if not self.task.check_mode:
            answer = self.command(job, "retry", self.active)
            job = self.job(answer.get("job_id") or answer["id"])
        return True, job

    def ended(self, job: Object) -> Object | None:
        now = self.job(job["id"])
        return None if now["status"] in ACTIVE else now

    def command(self, job: Object, verb: str, happened: Callable[[], Object | None]) -> Object:
        try:
            answer: Object = self.api.post(f"/queue/{job['id']}/{verb}", {}, happened)
        except RouteMissing as error:
            raise BbsError(f"This server is too old to {verb} a job: use its web pages.") from error
        return answer

    def chosen(self) -> Object | None:
        number = self.task.params["job"]
        return None if number is None else self.job(number)

    def job(self, number: int) -> Object:
        found = existing(self.api, f"/clients/{self.client_id}/jobs/{number}")
        if found is None:
            raise NotFound(f"There is no job {number} of the client {self.task.params['client']}.")
        return found

    def active(self, kind: str | None = None) -> Object | None:
        """The plan's job that waits or runs. Older servers take one status at a time (admin-api.md §5.5)."""
        found = self.listed(",".join(ACTIVE), kind)
        for status in ACTIVE if not found else ():
            found = found or self.listed(status, kind)
        return self.job(found[0]["id"]) if found else None

    def latest(self) -> Object | None:
        found = self.listed(None, BACKUP)
        return self.job(found[0]["id"]) if found else None

    def listed(self, status: str | None, kind: str | None) -> list[Object]:
        """Jobs of the plan, newest first; of all kinds when ``kind`` is None."""
        if self.client_id is None or not self.plan:
            return []
        query: dict[str, Any] = {"limit": RECENT_JOBS, **({"status": status} if status else {})}
        jobs = self.api.get_list(f"/clients/{self.client_id}/jobs", "jobs", query)
        of_plan = [job for job in jobs if job["plan_name"] == self.plan["name"]]
        return [job for job in of_plan if kind in (None, job["task_type"])]

    def finished(self, job: Object, started: bool) -> Object:
        """Wait for the end.

        :raises BbsError: the job failed, was cancelled, or takes longer than ``wait_timeout``
        """
        if not started and job["status"] not in ACTIVE:
            return job
        ends = self.clock() + self.task.params["wait_timeout"]
        said = ""
        while job["status"] in ACTIVE:
            news = progress_of(job)
            if news != said:
                self.task.progress(news)
                said = news
            if self.clock() >= ends:
                seconds = self.task.params["wait_timeout"]
                raise BbsError(
                    f"The job {job['id']} is still {job['status']} after {seconds} seconds; it goes on. "
                    f"{self.advice(job)}",
                    job=job,
                )
            self.sleep(self.task.params["poll_interval"])
            job = self.job(job["id"])
        self.task.progress(progress_of(job))
        if job["status"] != "completed":
            raise BbsError(ending(job), job=job, log=last_lines(job))
        return job

    def advice(self, job: Object) -> str:
        if job["status"] == "running":
            return "Give it more time with wait_timeout."
        return f"Is the agent of the client {self.task.params['client']} running, and does it reach the server?"


def progress_of(job: Object) -> str:
    """A job in one line, as a person wants to see it."""
    parts = [f"job {job['id']}: {job['status']}"]
    if job.get("files_processed"):
        total = f" of {job['files_total']}" if job.get("files_total") else ""
        parts.append(f"{job['files_processed']}{total} files")
    if job.get("bytes_processed"):
        total = f" of {amount(job['bytes_total'])}" if job.get("bytes_total") else ""
        parts.append(f"{amount(job['bytes_processed'])}{total}")
    if job.get("status_message"):
        parts.append(str(job["status_message"]).strip())
    return ", ".join(parts)


def amount(count: int) -> str:
    """Bytes with a unit, in powers of 1000 as borg prints them."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def lines(job: Object) -> list[str]:
    text = job.get("error_log") or job.get("status_message") or ""
    return [line.rstrip() for line in str(text).splitlines() if line.strip()]


def last_lines(job: Object) -> list[str]:
    return lines(job)[-LOG_LINES:]


def ending(job: Object) -> str:
    """Why a job did not complete, in its own words: agents say it in the first line, borg in the last ones."""
    log = lines(job)
    if len(log) > LOG_LINES + 1:
        log = [log[0], "…", *last_lines(job)]
    said = f": {' | '.join(log)}" if log else ", and the server does not say why."
    return f"The job {job['id']} {'was cancelled' if job['status'] == 'cancelled' else 'failed'}{said}"


def perform(task: Task) -> Result:
    if task.params["poll_interval"] <= 0:
        raise InvalidOption("poll_interval must be more than 0 seconds.")
    if (task.params["maximum_age"] or 0) < 0:
        raise InvalidOption("maximum_age must not be negative.")
    if task.params["wait_timeout"] < 0:
        raise InvalidOption("wait_timeout must not be negative.")
    return Jobs(task).run()


MODULE = Module(
    name="bbs_job",
    options={
        "client": {"type": "str", "required": True},
        "plan": {"type": "str"},
        "job": {"type": "int"},
        "state": {"type": "str", "choices": ["triggered", "cancelled", "retried"], "default": "triggered"},
        "maximum_age": {"type": "int"},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 3600},
        "poll_interval": {"type": "float", "default": 2.0},
    },
    perform=perform,
    rules={"required_if": [("state", "triggered", ("plan",))], "required_one_of": [("plan", "job")]},
)
