# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent itself: register, poll, run tasks one at a time (agent-protocol.md §5)."""

import threading
import time
from collections import OrderedDict
from typing import Any, Dict, Optional

from . import VERSION
from .api import Api, ApiError, Reply
from .cancel import AGENT_STOPPED
from .config import Config
from .files import read_text
from .host import Host
from .job import Job, Task
from .logs import LOG
from .orphans import Orphans
from .own_key import KeyExchange
from .probation import Probation
from .pulse import Pulse, job_ids
from .redact import Redactor
from .reports import Report, Reports
from .ssh import Access, PermissionDenied, Ssh, SshProblem
from .state import State
from .system import facts
from .tasks import run_task
from .timing import Timing

REMEMBERED_REPORTS = 200
LONGEST_BACKOFF = 300.0
NO_ACCOUNT = "the server has given this client no SSH account"


class Agent:
    """One server, one client. `run` blocks until `stop` is called from another thread.

    `replaced`: `run` has returned because the agent's file is another one now and wants to be started.
    """

    def __init__(self, config: Config, api: Api, timing: Timing, redactor: Redactor) -> None:
        self._config = config
        self._api = api
        self._timing = timing
        self._redactor = redactor
        self._ssh = Ssh(config.layout)
        self._host = Host(config.layout, api, self._ssh, redactor, timing, config.auto_update)
        self._state = State(config.layout.state)
        self._orphans = Orphans(config.layout.child)
        self._stopping = threading.Event()
        self._reports = Reports(api, config.layout.journal, config.api_key, timing, self._stopping.wait)
        self._exchange = KeyExchange(config)
        self._job: Optional[Job] = None
        self._done: OrderedDict[int, Report] = OrderedDict()
        self._interval = float(config.poll_interval)
        self._failures = 0
        self._burst_until = 0.0
        self._registered_at: Optional[float] = None
        self._ssh_problem = NO_ACCOUNT
        self._ssh_tried_at = 0.0
        self._warned = False
        self.replaced = False
        redactor.learn(config.api_key)

    def stop(self) -> None:
        """End the loop; a running borg is stopped and its job reported abandoned."""
        LOG.info("Stopping")
        self._stopping.set()
        job = self._job
        if job is not None:
            job.cancel(AGENT_STOPPED)

    def run(self) -> None:
        """Work until `stop`. Trouble with the server is waited out, never a reason to end."""
        LOG.info("BBS agent %s for %s", VERSION, self._config.url)
        self._state.start()
        self._orphans.end(self._timing.kill_grace)
        self._config.layout.sweep()
        while not self._stopping.is_set() and not self.replaced:
            seconds = self._turn()
            self._stopping.wait(self._timing.jittered(seconds))
        self._state.update(online=False, problem="the agent was stopped", job=None)
        LOG.info("Stopped")

    def try_out(self) -> None:
        """Do what an agent does before its first task, and leave no trace. Raises ApiError."""
        self._facts()
        self._api.heartbeat()
        # A task that is not reported on stays where it is and is delivered again (§5.2).
        self._api.tasks()

    def _facts(self) -> Dict[str, Any]:
        return facts(self._config.url, self._config.auto_update, read_text(self._config.layout.borg_source))

    def _turn(self) -> float:
        """One round; returns the seconds to wait before the next."""
        try:
            now = time.monotonic()
            if self._registered_at is None or now - self._registered_at >= self._timing.register_again:
                self._register()
            elif self._ssh_problem and now - self._ssh_tried_at >= self._timing.ssh_again:
                self._check_ssh()
            worked = not self._stopping.is_set() and self._poll()
        except ApiError as error:
            return self._trouble(error)
        if self._failures:
            LOG.info("The server is back")
            self._failures = 0
        self._state.update(online=not self._ssh_problem, problem=self._ssh_problem)
        if worked:
            return 0.0
        return self._timing.burst if time.monotonic() < self._burst_until else self._interval

    def _trouble(self, error: ApiError) -> float:
        self._failures += 1
        if self._failures == 1:
            LOG.warning("%s", error)
        self._state.update(online=False, problem=str(error))
        # An unknown key must not run into the server's throttle (20 bad requests in 300 s).
        return min(self._interval * float(2 ** min(self._failures - 1, 6)), LONGEST_BACKOFF)

    def _register(self) -> None:
        known = self._facts()
        reply = self._api.register(dict(known, **self._exchange.question()))
        first = self._registered_at is None
        self._registered_at = time.monotonic()
        self._take_interval(reply)
        self._state.update(
            name=reply.get("name"), agent_id=reply.get("agent_id"), borg_version=known.get("borg_version")
        )
        LOG.info("Registered as %s, borg %s", reply.get("name"), known.get("borg_version") or "not found")
        self._take_key(reply)
        access = Access.of_reply(reply)
        if access is not None:
            self._use(access)
        self._check_ssh()
        if first:
            Probation(self._config.layout).passed()
            self._reports.recover()
            self._reports.flush()

    def _take_key(self, reply: Reply) -> None:
        key = self._exchange.answer(reply)
        if key is not None:
            self._redactor.learn(key)
            self._api.use_key(key)
            self._reports.change_key(key)

    def _use(self, access: Access) -> None:
        if not access.host_keys and not self._warned:
            self._warned = True
            LOG.warning("The server announces no SSH host keys: they are not verified")
        self._ssh.use(access)

    def _check_ssh(self) -> None:
        """Get the key if it is missing and ping the gate; a refused key is fetched anew (§5.1)."""
        self._ssh_tried_at = time.monotonic()
        before = self._ssh_problem
        try:
            if not self._ssh.has_key:
                self._fetch_ssh_key()
            try:
                self._ssh.ping()
            except PermissionDenied:
                self._ssh.forget()
                self._fetch_ssh_key()
                self._ssh.ping()
            self._ssh_problem = ""
            LOG.info("SSH to the server works")
        except (SshProblem, ApiError, OSError) as error:
            self._ssh_problem = str(error)
            if self._ssh_problem != before:
                LOG.warning("%s", error)

    def _fetch_ssh_key(self) -> None:
        reply = self._api.ssh_key()
        key = reply.get("ssh_private_key")
        access = Access.of_reply(reply)
        if not key or access is None:
            raise SshProblem(NO_ACCOUNT)
        self._redactor.learn(str(key))
        self._ssh.store_key(str(key))
        # An ssh-key reply without host keys must not undo those of the registration.
        if access.host_keys or self._ssh.access is None:
            self._use(access)
        LOG.info("SSH key stored")

    def _poll(self) -> bool:
        """Ask for tasks and run them in order; whether one was run."""
        reply = self._api.tasks()
        self._take_interval(reply)
        tasks = [task for task in reply.get("tasks") or [] if job_ids(task.get("job_id"))]
        delivered = [job_ids(task["job_id"])[0] for task in tasks]
        for job_id in job_ids(reply.get("check_jobs") or []):
            if job_id not in delivered:
                self._abandon(job_id)
        worked = False
        for task in tasks:
            job_id = job_ids(task["job_id"])[0]
            if self._stopping.is_set() or self.replaced:
                break
            done = self._done.get(job_id)
            if done is not None and done.get("attempt") == task.get("attempt"):
                LOG.warning("Job %s was delivered again; its result is reported again", job_id)
                self._reports.send(done)
            else:
                self._work(task)
                worked = True
        return worked

    def _work(self, task: Task) -> None:
        """Run one task. The report goes out before post scripts and clean-up (§11)."""
        self._redactor.learn_from(task)
        job = Job(task, self._api, self._timing, self._redactor, self._orphans)
        self._job = job
        self._state.update(job=job.id)
        self._reports.begin(job.identity)
        if self._stopping.is_set():
            job.cancel(AGENT_STOPPED)
        interval = max(self._interval, self._timing.heartbeat_floor)
        with Pulse(job, self._api, self._timing, interval, self._abandon):
            result = run_task(job, self._host)
            job.close()
            report = dict(result.report, **job.identity)
            LOG.info("Job %s: %s%s", job.id, report["result"], _reason(report))
            self.replaced = result.restarts
            if self.replaced:
                self._reports.keep(report)
            else:
                self._remember(report)
                self._reports.finish(report)
            try:
                result.after()
            except Exception:
                LOG.exception("Job %s: unexpected error after the report", job.id)
        self._job = None
        self._reports.flush()
        self._state.update(job=None)
        if job.kind == "list_dir":
            self._burst_until = time.monotonic() + self._timing.burst_length

    def _remember(self, report: Report) -> None:
        self._done[report["job_id"]] = report
        while len(self._done) > REMEMBERED_REPORTS:
            self._done.popitem(last=False)

    def _abandon(self, job_id: int) -> None:
        """The server asks about a job (check_jobs, §5.2) that does not run here."""
        LOG.warning("Job %s is not running here: reported as abandoned", job_id)
        self._reports.send(self._done.get(job_id) or {"job_id": job_id, "result": "abandoned"})

    def _take_interval(self, reply: Reply) -> None:
        seconds = reply.get("poll_interval")
        if isinstance(seconds, (int, float)) and seconds > 0:
            self._interval = max(float(seconds), self._timing.poll_floor)


def _reason(report: Dict[str, Any]) -> str:
    """The first line of a report's error log, for the agent's own log."""
    lines = str(report.get("error_log") or "").strip().splitlines()
    return ": " + lines[0] if lines else ""
