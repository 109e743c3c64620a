# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server run``: web, worker and private sshd as one service, and how it is started and stopped."""

from __future__ import annotations

import gc
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import IO

from bbs_server import transport
from bbs_server.borg import sshd
from bbs_server.processes.forking import ENDING, forked
from bbs_server.processes.pid_file import PidFile
from bbs_server.processes.web import check_address, load, serve
from bbs_server.scheduling import worker
from bbs_server.settings import Settings
from bbs_server.transport import WsgiApp

START_SECONDS = 30

END_SECONDS = 25
"""Patience with the processes that end; longer than the web server's with requests (web.py)."""

STOP_SECONDS = END_SECONDS + 20
"""Patience with the supervisor, which first ends its processes."""

_LOOK_SECONDS = 0.1

_LAST_SIGNAL = {"web": signal.SIGTERM, "worker": signal.SIGKILL, "sshd": signal.SIGTERM}
"""What the processes get when the supervisor was killed. The worker would first wait for its borg, for hours
maybe; borg itself ends with the worker, cleanly, and the next worker does the job again."""

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Under which address a server is reached that listens on all of them."""


class ServiceError(Exception):
    """The service cannot be started or stopped; the message says why."""


@dataclass(frozen=True)
class Service:
    """The processes of one server, found again by the pid file that its supervisor holds."""

    settings: Settings
    settings_file: Path

    @property
    def _pid_file(self) -> PidFile:
        return PidFile(self.settings.run_directory / "bbs-server.pid", "The server")

    @property
    def log_file(self) -> Path:
        """Where a started service writes."""
        return self.settings.log_directory / "bbs-server.log"

    def pid(self) -> int | None:
        """The supervisor's process id, None when none runs."""
        return self._pid_file.pid()

    def check_stopped(self) -> None:
        """Make sure that neither a supervisor nor a web process runs, however it was started.

        :raises ServiceError: one does.
        """
        if self.pid() is not None or self._answers():
            raise ServiceError("The server runs: stop it first.")

    def run(self) -> int:
        """Run all processes in the foreground; when one ends, all end.

        They are forked from this one, so they share the memory of what is loaded once.

        :return: 1 when one ended by itself; 0 after a signal.
        :raises AlreadyRunning: it runs already.
        :raises AddressError: a port is taken.
        :raises SettingsError: credentials could be read on the way.
        """
        application = load(self.settings)
        with self._pid_file.holding() as held:
            check_address(self.settings.listen_address, self.settings.listen_port)
            work = self._work(application)
            children: dict[str, ForkProcess] = {}
            stopped: list[int] = []
            # Before the children start: none is left behind, whenever the signal comes.
            for number in ENDING:
                signal.signal(number, lambda received, _: stopped.append(received))
            gc.collect()
            gc.freeze()
            try:
                for name, task in work.items():
                    children[name] = forked(partial(_without, held, task), f"bbs-{name}", _LAST_SIGNAL[name])
                while not stopped and all(child.is_alive() for child in children.values()):
                    time.sleep(_LOOK_SECONDS)
            finally:
                ended = {name: child.exitcode for name, child in children.items() if not child.is_alive()}
                _end(list(children.values()))
                # Python gives up its handlers before it ends: one more Ctrl-C would then look like a failure.
                for number in ENDING:
                    signal.signal(number, signal.SIG_IGN)
            if stopped:
                return 0
            for name, code in ended.items():
                print(f"bbs-server: {name} ended with code {code}; stopped everything.", file=sys.stderr)
            return 1

    def start(self) -> bool:
        """Start in the background and wait until it answers; returns whether it had to be started.

        :raises ServiceError: it ended at once or does not answer; the message holds its last words.
        :raises AddressError: a port is taken.
        :raises SettingsError: credentials could be read on the way.
        """
        if self.pid() is not None:
            return False
        transport.check(self.settings)
        # Whatever has the port might answer in this server's place.
        check_address(self.settings.listen_address, self.settings.listen_port)
        program = [sys.executable, "-P", "-m", "bbs_server", "--config", str(self.settings_file), "run"]
        with self.log_file.open("ab") as log:
            before = log.tell()
            child = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise ServiceError(self._last_words(before) or f"The server ended with code {child.returncode}.")
            if self._answers():
                return True
            time.sleep(_LOOK_SECONDS)
        child.terminate()
        try:
            child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        raise ServiceError(f"The server does not answer after {START_SECONDS} s; see {self.log_file}.")

    def stop(self) -> bool:
        """Stop a running service and wait for its end; returns whether one ran.

        :raises ServiceError: it does not end.
        """
        pid = self.pid()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise ServiceError(f"The server (process {pid}) does not end; see {self.log_file}.")
            time.sleep(_LOOK_SECONDS)
        return True

    def _work(self, application: WsgiApp) -> dict[str, Callable[[], object]]:
        work: dict[str, Callable[[], object]] = {
            "web": partial(serve, self.settings, application),
            "worker": partial(worker.run_until_told, self.settings),
        }
        if self.settings.private_sshd:
            check_address(self.settings.listen_address, self.settings.ssh_port)
            command = sshd.command(self.settings)
            work["sshd"] = partial(os.execv, command[0], command)
        return work

    @property
    def _own_url(self) -> str:
        """Where this machine reaches the server; the public URL may lead through a proxy that is not up yet."""
        address = _LOOPBACK.get(self.settings.listen_address, self.settings.listen_address)
        host = f"[{address}]" if ":" in address else address
        return f"{self.settings.scheme}://{host}:{self.settings.listen_port}"

    def _answers(self) -> bool:
        # The certificate is not made out to the loopback address, and nothing secret is asked.
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        https = urllib.request.HTTPSHandler(context=unverified)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
        try:
            with direct.open(f"{self._own_url}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _last_words(self, since: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("bbs-server: ") if lines else ""


def _without(held: IO[str], task: Callable[[], object]) -> None:
    """Do a task in a process of its own, which does not hold the supervisor's pid file."""
    held.close()
    task()


def _end(children: list[ForkProcess]) -> None:
    """End all processes; one that works on after ``END_SECONDS`` is killed, and its borg ends with it."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + END_SECONDS
    for child in children:
        child.join(max(0, deadline - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()
