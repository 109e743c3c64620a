# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``bbs-server dev``."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bbs_server.dev.cues import CueError, CueFile, Cues
from bbs_server.dev.fleet import Fleet, FleetError
from bbs_server.dev.temporary import Stopped, TemporaryServer, pid_file, temporary_server

STOP_SECONDS = 60

_LOOK_SECONDS = 0.25

Ready = Callable[[dict[str, Any], Path], None]
"""Is told what the caller wants to know, and the log file, once everything answers."""


@click.command()
@click.option("--agents", metavar="CUES", default="", help="Simulated agents, such as 'web1=fail,db*=hang,*=succeed'.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="TCP port; 0: a free one.")
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON here as well.")
@click.option("--detach", is_flag=True, help="Return when the server answers; it goes on in the background.")
@click.option("--stop", type=click.Path(dir_okay=False, path_type=Path), help="End the server that wrote this --file.")
def dev(agents: str, port: int, file: Path | None, detach: bool, stop: Path | None) -> None:
    """Run a real server for a test, and remove all of it afterwards.

    Prints one line of JSON when the server answers: url, token, token_file, pid, agents_file, directory, log. The
    server listens on loopback; it ends on SIGTERM or Ctrl-C and leaves nothing behind. Its directory is made in
    $TMPDIR; TMPDIR=/dev/shm keeps it in memory.

    CUES are NAME=BEHAVIOUR, separated by commas; the first that fits counts. A client whose name stands there is
    created at the start, with its agent online; a pattern such as * gives an agent to every client that fits, as soon
    as somebody creates it. Each agent speaks the real agent API and takes its tasks as its BEHAVIOUR says:

    \b
      succeed  does them; a backup leaves an archive with one small file
      warn     the same, with a warning
      fail     reports a failure
      hang     reports progress until the job is cancelled or the cue changes
      offline  registers and is not heard of again

    The file agents_file holds the cues, one a line: whatever is written there counts at once.
    """
    if stop is not None:
        click.echo("stopped" if _stop(stop) else "unchanged: not running")
        return
    try:
        Cues.parse(agents)
    except CueError as error:
        raise click.BadParameter(str(error), param_hint="--agents") from error
    if file is not None and _keeper(file) is not None:
        raise click.ClickException(f"The server of {file} runs: end it with 'bbs-server dev --stop {file}'.")
    if detach:
        sys.exit(_detached(lambda ready: _run(agents, port, file, ready)))
    _run(agents, port, file, lambda told, _log: click.echo(json.dumps(told)))


def _run(agents: str, port: int, file: Path | None, ready: Ready) -> None:
    """Run until a signal comes."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with temporary_server(port, stopping.is_set) as server:
            _serve(server, agents, file, ready, stopping)
    except Stopped:
        pass
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _serve(server: TemporaryServer, agents: str, file: Path | None, ready: Ready, stopping: threading.Event) -> None:
    settings = server.settings
    cues = CueFile(settings.directory / "agents", agents, _tell)
    borg_directory = settings.directory / "agents-borg"
    with Fleet(
        settings.url, server.token, cues, storage=settings.storage, borg_directory=borg_directory, tell=_tell
    ) as fleet:
        fleet.assemble()
        told = {
            "url": settings.url,
            "token": server.token,
            "token_file": str(settings.directory / "token"),
            "pid": os.getpid(),
            "agents_file": str(settings.directory / "agents"),
            "directory": str(settings.directory),
            "log": str(server.log_file),
        }
        if file is not None:
            _write(file, json.dumps(told) + "\n")
        ready(told, server.log_file)
        while not stopping.wait(_LOOK_SECONDS):
            server.check()
            try:
                fleet.look()
            except (FleetError, OSError) as error:
                _tell(str(error))


def _detached(run: Callable[[Ready], None]) -> int:
    """Run in another process; print what it says when it is ready. Returns this process's exit code."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            line = pipe.read()
        if line:
            click.echo(line, nl=False)
            return 0
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reading)
    os.setsid()

    def ready(told: dict[str, Any], log: Path) -> None:
        # From here on nobody listens; until here, messages reach the caller's terminal.
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
            os.dup2(nothing.fileno(), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.write(writing, json.dumps(told).encode() + b"\n")
        os.close(writing)

    run(ready)
    return 0


def _keeper(file: Path) -> int | None:
    """The process that keeps the server of a file; None when there is none."""
    try:
        return pid_file(Path(json.loads(file.read_text(encoding="utf-8"))["directory"])).pid()
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{file} was not written by 'bbs-server dev --file'.") from error


def _stop(file: Path) -> bool:
    pid = _keeper(file)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while file.exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    if file.exists():
        raise click.ClickException(f"The server (process {pid}) does not end.")
    return True


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner may read, since a token is in it."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
        output.write(text)


def _tell(line: str) -> None:
    click.echo(line, err=True)
