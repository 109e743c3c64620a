# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes in a group of their own, so that a cancel reaches borg and its ssh alike."""

import gzip
import os
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, Callable, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Union

from .cancel import CancelToken
from .orphans import Orphans

KEPT_OUTPUT = 10 * 1024
CHUNK = 64 * 1024
# Borg writes each line by itself; to wake up for each of them costs more than what is done with it.
BATCH_SECONDS = 0.01
LineReader = Callable[[str], None]
Sink = Union[IO[bytes], gzip.GzipFile]


class Finished(NamedTuple):
    """How a child ended: exit code (negative: the signal), kept output, whether time ran out."""

    code: int
    output: str
    timed_out: bool = False


class Runner:
    """Runs one child at a time under a cancel token. Both methods raise Cancelled and OSError."""

    def __init__(self, token: CancelToken, kill_grace: float, orphans: Optional[Orphans] = None) -> None:
        """`orphans` remembers the child, for the case that this agent is killed and leaves it behind."""
        self._token = token
        self._kill_grace = kill_grace
        self._orphans = orphans

    def pipe(
        self,
        argv: List[str],
        env: Mapping[str, str],
        on_stderr: LineReader,
        sink: Optional[Sink] = None,
        cwd: Optional[str] = None,
        source: Optional[Iterable[bytes]] = None,
    ) -> Finished:
        """Run a tool that talks: each line of stderr goes to `on_stderr` as it comes.

        Standard output is written to `sink`, or without one returned whole (borg's --json summary).
        Standard input is what `source` yields; when that fails, the tool is stopped, not left with
        half of its input.
        """
        with tempfile.TemporaryFile() as kept:
            with self._started(argv, env, cwd, subprocess.PIPE, subprocess.PIPE, None, source is not None) as child:
                pump = _Pump(child.process.stdout, kept if sink is None else sink)
                feeder = None if source is None else _Feeder(child, source)
                _read_lines(child.process.stderr, on_stderr)
                pump.join()
                code = child.process.wait()
                if feeder is not None:
                    feeder.join()
            for problem in (pump.problem, feeder.problem if feeder is not None else None):
                if problem is not None:
                    raise problem
            return Finished(code, _whole(kept))

    def script(
        self,
        argv: List[str],
        env: Mapping[str, str],
        timeout: Optional[float] = None,
        cwd: Optional[str] = None,
    ) -> Finished:
        """Run a program of the user and keep the last 10 KB of what it prints.

        The output goes to a file, not a pipe: a service that the script starts and leaves behind
        would keep a pipe open, and the agent waiting, for ever.
        """
        with tempfile.TemporaryFile() as output:
            with self._started(argv, env, cwd, output, subprocess.STDOUT, timeout) as child:
                code = child.process.wait()
            return Finished(code, _tail(output), child.timed_out)

    @contextmanager
    def _started(
        self,
        argv: List[str],
        env: Mapping[str, str],
        cwd: Optional[str],
        stdout: Union[int, IO[bytes]],
        stderr: int,
        timeout: Optional[float],
        fed: bool = False,
    ) -> Iterator["_Child"]:
        self._token.check()
        process = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        if self._orphans is not None:
            self._orphans.note(process.pid)
        child = _Child(process, self._kill_grace)
        timer = threading.Timer(timeout, child.time_out) if timeout else None
        self._token.watch(child.stop)
        try:
            if timer is not None:
                timer.daemon = True
                timer.start()
            yield child
        except BaseException:
            child.stop()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            process.wait()
            if self._orphans is not None:
                self._orphans.forget()
            self._token.watch(None)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._token.check()


class _Child:
    """A running process group and how to end it."""

    def __init__(self, process: "subprocess.Popen[bytes]", grace: float) -> None:
        self.process = process
        self.timed_out = False
        self._grace = grace

    def time_out(self) -> None:
        self.timed_out = True
        self.stop()

    def stop(self) -> None:
        """SIGTERM to the group now (borg then frees its locks), SIGKILL when the grace is over."""
        self._signal(signal.SIGTERM)
        threading.Thread(target=self._finish_off, daemon=True).start()

    def _finish_off(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=self._grace)
        # Also what the leader left behind: it may hold the pipe that the agent reads.
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


class _Pump(threading.Thread):
    """Copies a pipe into a file; keeps reading when writing fails, else the child would block."""

    def __init__(self, source: Optional[IO[bytes]], target: Sink) -> None:
        super().__init__(daemon=True)
        assert source is not None
        self._source = source
        self._target = target
        self.problem: Optional[OSError] = None
        self.start()

    def run(self) -> None:
        for chunk in iter(lambda: self._source.read(CHUNK), b""):
            try:
                if self.problem is None:
                    self._target.write(chunk)
            except OSError as error:
                self.problem = error


class _Feeder(threading.Thread):
    """Writes a child's standard input; owns that pipe and closes it."""

    def __init__(self, child: _Child, source: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._child = child
        self._source = source
        self.problem: Optional[Exception] = None
        self.start()

    def run(self) -> None:
        pipe = self._child.process.stdin
        assert pipe is not None
        try:
            for chunk in self._source:
                pipe.write(chunk)
        except BrokenPipeError:
            # The child ended before its input did, and says itself why.
            pass
        except (OSError, EOFError) as error:
            self.problem = error
            self._child.stop()
        with suppress(BrokenPipeError):
            pipe.close()


def _read_lines(stream: Optional[IO[bytes]], reader: LineReader) -> None:
    """Hand on each line that is not blank, as UTF-8."""
    assert stream is not None
    rest = b""
    for chunk in iter(lambda: os.read(stream.fileno(), CHUNK), b""):
        # Borg writes a bare carriage return after some of its prompts and progress lines.
        lines = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        rest = lines.pop()
        _hand_on(lines, reader)
        time.sleep(BATCH_SECONDS)
    _hand_on([rest], reader)


def _hand_on(lines: List[bytes], reader: LineReader) -> None:
    for line in lines:
        if line.strip():
            reader(line.decode("utf-8", "replace"))


def _whole(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - KEPT_OUTPUT))
    return stream.read().decode("utf-8", "replace").strip()
