# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server run``: web, worker and private sshd as one service, and how it is started and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bbs_server.borg import sshd
from bbs_server.pid_file import PidFile
from bbs_server.settings import Settings
from bbs_server.web import check_address

START_SECONDS = 30
STOP_SECONDS = 30
_LOOK_SECONDS = 0.1


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

    def run(self) -> int:
        """Run all processes in the foreground; when one ends, all end.

        :return: the exit code of the one that ended first; 0 after a signal.
        :raises AlreadyRunning: it runs already.
        :raises AddressError: a port is taken.
        """
        with self._pid_file.holding():
            check_address(self.settings.listen_address, self.settings.listen_port)
            children = {name: subprocess.Popen(command) for name, command in self._commands().items()}
            stopped: list[int] = []
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda received, _: stopped.append(received))
            try:
                while not stopped and all(child.poll() is None for child in children.values()):
                    time.sleep(_LOOK_SECONDS)
            finally:
                ended = {name: child.poll() for name, child in children.items() if child.poll() is not None}
                _end(list(children.values()))
            if stopped:
                return 0
            for name, code in ended.items():
                print(f"bbs-server: {name} ended with code {code}; stopped everything.", file=sys.stderr)
            return 1

    def start(self) -> bool:
        """Start in the background and wait until it answers; returns whether it had to be started.

        :raises ServiceError: it ended at once or does not answer; the message holds its last words.
        """
        if self.pid() is not None:
            return False
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
        _end([child])
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

    def _commands(self) -> dict[str, list[str]]:
        own = [sys.executable, "-P", "-m", "bbs_server", "--config", str(self.settings_file)]
        commands = {"web": [*own, "web"], "worker": [*own, "worker"]}
        if self.settings.private_sshd:
            check_address(self.settings.listen_address, self.settings.ssh_port)
            commands["sshd"] = sshd.command(self.settings)
        return commands

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.settings.url}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _last_words(self, since: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("bbs-server: ") if lines else ""


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
