# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that exists as long as a context: directory, database, keys and processes are made and removed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bbs_server.borg import sshd
from bbs_server.initialise import initialise
from bbs_server.processes.children import ending_with_parent
from bbs_server.processes.pid_file import PidFile
from bbs_server.runtime import Runtime
from bbs_server.services import tokens
from bbs_server.settings import Settings

PREFIX = "bbs-dev-"
START_SECONDS = 30
END_SECONDS = 30

_LOOK_SECONDS = 0.05


class TemporaryServerError(Exception):
    """The server does not start or has ended; the message holds its last words."""


class Stopped(Exception):
    """It was told to end before it answered."""


@dataclass(frozen=True)
class TemporaryServer:
    """A running server."""

    settings: Settings
    token: str
    process: subprocess.Popen[bytes]

    @property
    def log_file(self) -> Path:
        """What its processes write."""
        return _log_file(self.settings.directory)

    def check(self) -> None:
        """Make sure that it still runs.

        :raises TemporaryServerError: it does not.
        """
        if self.process.poll() is not None:
            words = self.log_file.read_text(errors="replace").strip().splitlines()
            raise TemporaryServerError(words[-1] if words else f"The server ended with code {self.process.returncode}.")


def pid_file(directory: Path) -> PidFile:
    """The file that whoever keeps a temporary server holds."""
    return PidFile(directory / "dev.pid", "The temporary server")


@contextmanager
def temporary_server(port: int, stopped: Callable[[], bool]) -> Iterator[TemporaryServer]:
    """Make a server on loopback, run it, and remove all of it.

    :param port: TCP port of its HTTP; 0 takes a free one.
    :param stopped: asked while it starts; true breaks the start off.
    :raises TemporaryServerError: it does not start.
    :raises Stopped: the start was broken off.
    """
    _remove_left_behind()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with pid_file(directory).holding():
            settings = _settings(directory, port)
            initialise(settings)
            server = TemporaryServer(settings, _mint(settings), _start(settings))
            try:
                _wait(server, stopped)
                yield server
            finally:
                _end(server.process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _settings(directory: Path, port: int) -> Settings:
    numbers = {
        "listen_port": port or _free_port(),
        "ssh_port": _free_port(),
        "web_processes": 1,
        # Tests wait for what happens next.
        "agent_poll_interval": 1,
        "worker_interval": 1,
        "retry_delay_seconds": 1,
    }
    lines = [f"{name} = {value}" for name, value in numbers.items()]
    # Only agents that are not simulated need SSH.
    lines.append(f"private_sshd = {str(sshd.available()).lower()}")
    file = directory / "bbs-server.toml"
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return Settings.load(file)


def _mint(settings: Settings) -> str:
    with closing(Runtime.open(settings)) as run, run.database.connection_context():
        text = tokens.create(run, tokens.administrator(), "dev")[1]
    file = settings.directory / "token"
    file.touch(mode=0o600)
    file.write_text(text + "\n", encoding="ascii")
    return text


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    file = settings.directory / "bbs-server.toml"
    command = [sys.executable, "-P", "-m", "bbs_server", "--config", str(file), "run"]
    with _log_file(settings.directory).open("ab") as log:
        return subprocess.Popen(ending_with_parent(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _wait(server: TemporaryServer, stopped: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(server.settings.url):
        server.check()
        if stopped():
            raise Stopped
        if time.monotonic() > deadline:
            raise TemporaryServerError(f"The server does not answer after {START_SECONDS} s.")
        time.sleep(_LOOK_SECONDS)


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        # What it started ends with it.
        process.kill()
        process.wait()


def _log_file(directory: Path) -> Path:
    return directory / "log" / "bbs-server.log"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _remove_left_behind() -> None:
    """Remove the directories of earlier ones that were killed and had no time to do it."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if pid_file(directory).path.exists() and pid_file(directory).pid() is None:
                shutil.rmtree(directory)
        except OSError:  # somebody else's, or just removed
            continue
