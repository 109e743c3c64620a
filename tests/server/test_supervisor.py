# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of the supervisor: the address it probes, its pid file, children that end with their parent."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bbs_server.borg.command import Borg
from bbs_server.processes import supervisor
from bbs_server.processes.children import ending_with_parent
from bbs_server.processes.pid_file import AlreadyRunning, PidFile
from bbs_server.processes.supervisor import Service

from .conftest import make_settings


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def healthy() -> Iterator[int]:
    """A server that answers on a port of 127.0.0.1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1]
        server.shutdown()


def within_seconds(condition: object) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def service(folder: Path, **settings: object) -> Service:
    return Service(make_settings(folder, **settings), folder / "bbs-server.toml")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_readiness_does_not_need_the_public_url(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with healthy() as port:
        probed = service(tmp_path, server_url="http://127.0.0.1:9", listen_address=address, listen_port=port)
        assert probed._answers()


@pytest.mark.parametrize(
    ("address", "url"),
    [("::", "http://[::1]:8080"), ("::1", "http://[::1]:8080"), ("10.0.0.7", "http://10.0.0.7:8080")],
)
def test_the_listen_address_is_probed(tmp_path: Path, address: str, url: str) -> None:
    assert service(tmp_path, listen_address=address)._own_url == url


def test_stop_waits_longer_than_the_processes_may_take() -> None:
    assert supervisor.STOP_SECONDS >= supervisor.END_SECONDS + 10


def test_who_looks_does_not_keep_others_from_starting(tmp_path: Path) -> None:
    file = PidFile(tmp_path / "run" / "x.pid", "X")
    file.path.parent.mkdir()
    file.path.touch()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            file.pid()

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(100):
            with file.holding():
                assert file.pid() is not None
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_two_who_look_see_nobody(tmp_path: Path) -> None:
    """With an exclusive lock each would take the other for the holder."""
    file = PidFile(tmp_path / "x.pid", "X")
    file.path.write_text("4711\n")
    seen: list[int | None] = []

    def look() -> None:
        seen.extend(file.pid() for _ in range(2000))

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()
    assert set(seen) == {None}


def test_a_held_file_is_refused(tmp_path: Path) -> None:
    file = PidFile(tmp_path / "x.pid", "X")
    with file.holding(), pytest.raises(AlreadyRunning), file.holding():
        pass


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import subprocess, time; from bbs_server.processes.children import ending_with_parent; "
        "print(subprocess.Popen(ending_with_parent(['/bin/sleep', '60'])).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = Path("/proc") / parent.stdout.readline().strip()
        assert within_seconds(lambda: b"sleep\x0060" in (child / "cmdline").read_bytes())
        parent.kill()
    assert within_seconds(lambda: ended(child))


def test_a_borg_ends_with_the_process_that_waits_for_it(tmp_path: Path) -> None:
    """A worker that is killed while borg works leaves no borg behind; it is told to end, not killed."""
    fake, told, started = tmp_path / "bin" / "borg", tmp_path / "told", tmp_path / "started"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ntrap 'echo TERM > {told}; exit 2' TERM\necho $$ > {started}\nsleep 30 & wait\n")
    fake.chmod(0o755)
    program = (
        f"import os; os.environ['PATH'] = '{fake.parent}:' + os.environ['PATH']; from pathlib import Path; "
        "from bbs_server.borg.command import Borg; Borg(Path('/tmp'), Path('/tmp')).run(['check'], None)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as worker:
        assert within_seconds(lambda: started.exists() and started.read_text())
        worker.send_signal(signal.SIGKILL)
    assert within_seconds(lambda: told.exists() and told.read_text() == "TERM\n")
    assert within_seconds(lambda: ended(Path("/proc") / started.read_text().strip()))


def test_output_and_code_are_the_childs_own(tmp_path: Path) -> None:
    done = subprocess.run(
        ending_with_parent(["/bin/sh", "-c", "echo out; exit 3"]), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "", 3)
    assert Borg(tmp_path, tmp_path).run(["--version"], None).startswith("borg ")


def ended(process: Path) -> bool:
    """Whether a process is gone; a zombie, which its new parent has yet to notice, is."""
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
