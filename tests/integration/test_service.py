# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's processes: whatever ends the supervisor, nothing stays behind and the next start works."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .live_server import LiveServer, children, free_port


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LiveServer]:
    """A server that a test may kill."""
    server = LiveServer(tmp_path, free_port(), free_port())
    server.config.write_text(
        f"listen_port = {server.port}\nssh_port = {server.ssh_port}\nprivate_sshd = true\n"
        'server_url = "http://127.0.0.1:9"\nworker_interval = 1\nweb_processes = 1\n'
    )
    assert server.command("bbs-server", "init").returncode == 0
    yield server
    server.command("bbs-server", "stop")


def supervisor(server: LiveServer) -> int:
    return int((server.directory / "run" / "bbs-server.pid").read_text())


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def within_seconds(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def start(server: LiveServer) -> set[int]:
    """Start it; the processes below the supervisor."""
    done = server.command("bbs-server", "start")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("started")
    pid = supervisor(server)
    assert within_seconds(lambda: len(children(pid)) >= 4)  # web and its process, worker, sshd
    return children(pid)


def test_a_killed_supervisor_takes_everything_with_it(own_server: LiveServer) -> None:
    """It also starts although its public URL, behind a proxy that is not up, does not answer."""
    below = start(own_server)

    os.kill(supervisor(own_server), signal.SIGKILL)

    assert within_seconds(lambda: not any(runs(pid) for pid in below)), [pid for pid in below if runs(pid)]
    again = start(own_server)
    assert own_server.command("bbs-server", "status").returncode == 0
    assert own_server.command("bbs-server", "stop").stdout == "stopped\n"
    assert not any(runs(pid) for pid in again)


def test_requests_at_work_are_answered_however_often_it_is_told_to_end(own_server: LiveServer) -> None:
    """Ctrl-C, and again: a terminal sends it to all processes of the group."""
    programs = Path(sys.executable).parent
    command = [str(programs / "bbs-server"), "--config", str(own_server.config), "run"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL) as running:
        assert within_seconds(lambda: own_server.command("bbs-server", "status").returncode == 0)
        token = own_server.mint("impatient")
        client = own_server.call(token, "POST", "/clients", {"name": "web1"})["id"]
        with ThreadPoolExecutor() as pool:
            made = pool.submit(own_server.call, token, "POST", f"/clients/{client}/repositories", {"name": "main"})
            storage = own_server.directory / "repositories" / str(client)
            assert within_seconds(lambda: any(storage.iterdir()))
            while running.poll() is None:
                os.killpg(running.pid, signal.SIGINT)
                time.sleep(0.01)
            assert made.result()["name"] == "main"
        assert running.returncode == 0


def test_the_server_speaks_tls_with_its_own_certificate(own_server: LiveServer) -> None:
    certificate, key = own_server.directory / "tls.pem", own_server.directory / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with own_server.config.open("a") as settings:
        settings.write(f'listen_address = "0.0.0.0"\ntls_certificate = "{certificate}"\ntls_key = "{key}"\n')

    start(own_server)

    trusting = ssl.create_default_context(cafile=str(certificate))
    url = f"https://127.0.0.1:{own_server.port}/health"
    with urllib.request.urlopen(url, timeout=10, context=trusting) as reply:
        assert reply.status == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(url, timeout=10)


def test_no_start_in_plain_http_for_other_machines(own_server: LiveServer) -> None:
    with own_server.config.open("a") as settings:
        settings.write('listen_address = "0.0.0.0"\n')

    for command in ("start", "web", "run"):
        refused = own_server.command("bbs-server", command)
        assert refused.returncode == 1
        assert "without TLS" in refused.stderr
