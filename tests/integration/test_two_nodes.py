# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two web nodes and two workers on one PostgreSQL behind nginx; one of each is killed in the middle of its work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bbs_server.initialise import initialise
from bbs_server.models import Job, JobLog, Lease
from bbs_server.runtime import Runtime
from bbs_server.services import tokens
from bbs_server.settings import Settings

from ..database_servers import open_directory, postgres

CLIENTS = 2
READERS = 3
PATIENCE_SECONDS = 120

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  upstream bbs {{ server 127.0.0.1:{first}; server 127.0.0.1:{second}; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://bbs; }} }}
}}
"""


@dataclass
class Site:
    """The whole: what is asked of it, and what came of it."""

    folder: Path
    url: str
    token: str
    run: Runtime
    webs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    failures: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    backed_up: Counter[int] = field(default_factory=Counter)

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """A request through nginx; None when it failed, which is noted."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.token}", "Content-Type": "application/json"},
        )
        who = threading.current_thread().name
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                self.answered[who] += 1
                return json.load(reply)
        except (OSError, urllib.error.HTTPError):
            self.failures[who] += 1
            return None

    def until(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """The same again until it works, as agents and modules do."""
        while (reply := self.call(method, path, body, key)) is None:
            time.sleep(0.1)
        return reply

    def read(self) -> None:
        """Read the list of clients again and again."""
        while not self.over.is_set():
            self.call("GET", "/api/v1/clients")

    def back_up(self, key: str) -> None:
        """An agent: asks for work and reports it done."""
        while not self.over.wait(0.2):
            for task in self.until("GET", "/api/agent/tasks", key=key)["tasks"]:
                told = {"job_id": task["job_id"], "attempt": task["attempt"]}
                self.backed_up[task["job_id"]] += 1
                self.until("POST", "/api/agent/progress", told, key)
                done = told | {"result": "completed", "archive_name": task["archive_name"]}
                self.until("POST", "/api/agent/status", done, key)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def started(folder: Path, name: str, command: list[str]) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_directory() as directory, postgres(directory / "pg") as cluster:
        cluster.sql("CREATE DATABASE bbs")
        common = {"directory": str(tmp_path / "data"), "database_url": cluster.url("bbs"), "web_processes": 1}
        common |= {"worker_interval": 1, "lease_seconds": 5, "retry_delay_seconds": 1, "agent_poll_interval": 10}
        ports = [free_port() for _ in range(3)]
        commands = []
        for port in ports[:2]:
            file = tmp_path / f"{port}.toml"
            file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in common.items()))
            with file.open("a") as more:
                more.write(f"listen_port = {port}\n")
            commands.append([sys.executable, "-P", "-m", "bbs_server", "--config", str(file)])
        settings = Settings.load(file)
        initialise(settings)
        run = Runtime.open(settings)
        with run.database.connection_context():
            _, token = tokens.create(run, tokens.administrator(), "tests")
        made = Site(tmp_path, f"http://127.0.0.1:{ports[2]}", token, run)
        (tmp_path / "nginx.conf").write_text(
            NGINX.format(folder=tmp_path, first=ports[0], second=ports[1], port=ports[2])
        )
        nginx = started(tmp_path, "nginx", ["/usr/sbin/nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")])
        try:
            for number, command in enumerate(commands):
                made.webs.append(started(tmp_path, f"web{number}", [*command, "web"]))
                made.workers.append(started(tmp_path, f"worker{number}", [*command, "worker"]))
            for port in ports:
                eventually(f"port {port} answers", lambda port=port: answers(port))
            yield made
        finally:
            made.over.set()
            for process in (nginx, *made.webs, *made.workers):
                kill(process)
            run.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all it has started, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def queue(site: Site, client: dict[str, Any]) -> None:
    """A backup, and a check of the repository, which is the workers' own job."""
    base = f"/api/v1/clients/{client['id']}"
    site.until("POST", f"{base}/plans/{client['plan']}/trigger", {})
    site.until("POST", f"{base}/repositories/{client['repository']}/check", {})


def unfinished(site: Site) -> list[str]:
    with site.run.database.connection_context():
        return [f"{job.task_type} {job.status}" for job in Job.select().where(Job.status != "completed")]


def working(site: Site) -> subprocess.Popen[bytes] | None:
    """The worker that is at work on a job of the server."""
    with site.run.database.connection_context():
        job = Job.select().where((Job.status == "running") & (Job.task_type == "repo_check")).first()
    holders = {str(process.pid): process for process in site.workers}
    return next((process for pid, process in holders.items() if job and pid in str(job.lease_holder)), None)


@pytest.mark.slow
def test_one_node_of_each_kind_may_be_killed(site: Site) -> None:
    fleet = [created(site, number) for number in range(CLIENTS)]
    threads = [threading.Thread(target=site.read, name=f"reader {number}") for number in range(READERS)]
    threads += [threading.Thread(target=site.back_up, args=(one["api_key"],), name=one["name"]) for one in fleet]
    for thread in threads:
        thread.start()
    try:
        for one in fleet:
            queue(site, one)
        killed = eventually("a worker is at work", lambda: working(site))
        kill(killed)
        kill(site.webs[0])
        before = site.answered.total()
        eventually("everything is done", lambda: not unfinished(site))
        for one in fleet:
            queue(site, one)
        eventually("more is done afterwards", lambda: not unfinished(site))
        eventually("readers go on", lambda: site.answered.total() > before + 10 * READERS)
    finally:
        site.over.set()
        for thread in threads:
            thread.join()

    assert all(count <= 1 for count in site.failures.values()), f"only requests in flight fail: {site.failures}"
    with site.run.database.connection_context():
        jobs = list(Job.select())
        assert Counter(job.task_type for job in jobs)["backup"] == 2 * CLIENTS
        assert {job.id: 1 for job in jobs if job.task_type == "backup"} == site.backed_up, "each was told once"
        for job in jobs:
            sound = job.logs.where(JobLog.message.contains("The repository is sound.")).count()
            assert sound == (job.task_type == "repo_check"), f"job {job.id} was done {sound} times"
        assert any(job.attempt > 1 for job in jobs), "the killed worker's job was tried again"
        assert not any(str(killed.pid) in lease.holder for lease in Lease.select()), "the other one leads"


def created(site: Site, number: int) -> dict[str, Any]:
    client: dict[str, Any] = site.call("POST", "/api/v1/clients", {"name": f"web{number}"})
    base = f"/api/v1/clients/{client['id']}"
    repository = site.call("POST", f"{base}/repositories", {"name": "main", "encryption": "none"})
    body = {"name": "nightly", "repository_id": repository["id"], "directories": "/etc", "prune_days": 0}
    keep = dict.fromkeys(("prune_minutes", "prune_hours", "prune_weeks", "prune_months", "prune_years"), 0)
    plan = site.call("POST", f"{base}/plans", body | keep)
    return client | {"repository": repository["id"], "plan": plan["id"]}
