# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callers that are slow, silent, many or greedy: others are served all the same, and memory stays bounded."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import LiveServer
from .live_server import children

CONNECTIONS = 1000
POLLS, POLLERS = 10_000, 20
MOST_MEBIBYTES = 400
"""Of all the server's processes together, beyond what they share."""


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """This process holds the other end of each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connection(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def served(server: LiveServer, token: str) -> float:
    """Seconds that an ordinary request takes from its connection to its answer."""
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    client.request("GET", "/api/v1/clients", headers={"Authorization": f"Bearer {token}"})
    reply = client.getresponse()
    assert reply.status == 200
    assert "clients" in json.load(reply)
    client.close()
    return time.monotonic() - began


def mebibytes(server: LiveServer) -> int:
    """What the server's processes occupy together; memory that they share counts once."""
    pid = int((server.directory / "run" / "bbs-server.pid").read_text())
    total = 0
    for process in {pid, *children(pid)}:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total // 1024


@contextlib.contextmanager
def crowd(server: LiveServer, count: int, says: Callable[[int], bytes]) -> Iterator[list[socket.socket]]:
    """Connections that stay open; each says something, or nothing, and waits."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(connection(server)) for _ in range(count)]
        for number, member in enumerate(found):
            member.sendall(says(number))
        yield found


HEADER = b"POST /api/v1/clients HTTP/1.1\r\nHost: bbs\r\nContent-Type: application/json\r\n"
SLOW = {
    "says nothing": b"",
    "sends half a header": b"GET /api/v1/clients HTTP/1.1\r\nHost: bbs\r\nX-Slow: ",
    "announces a body and sends a part": HEADER + b"Content-Length: 5000\r\n\r\n{",
    "sends a body in pieces": HEADER + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
}


@pytest.mark.parametrize("manner", SLOW)
def test_slow_callers_hold_nobody_up(live_server: LiveServer, manner: str) -> None:
    """64 are more than there are threads in all processes."""
    token = live_server.mint(f"slow {manner}")
    with crowd(live_server, 64, lambda _: SLOW[manner]):
        for _ in range(5):
            served(live_server, token)


def test_a_thousand_connections_hold_nobody_up(live_server: LiveServer) -> None:
    token = live_server.mint("thousand")
    manners = list(SLOW.values())
    with crowd(live_server, CONNECTIONS, lambda number: manners[number % len(manners)]):
        for _ in range(5):
            served(live_server, token)
        assert mebibytes(live_server) < MOST_MEBIBYTES


def test_a_burst_of_polls_is_answered_and_holds_nobody_up(live_server: LiveServer) -> None:
    token = live_server.mint("burst")
    client = http.client.HTTPConnection("127.0.0.1", live_server.port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    client.request("POST", "/api/v1/clients", json.dumps({"name": "burst"}), headers)
    key = json.load(client.getresponse())["api_key"]
    client.close()
    answered: Counter[int] = Counter()

    def poll() -> None:
        agent = http.client.HTTPConnection("127.0.0.1", live_server.port, timeout=60)
        for _ in range(POLLS // POLLERS):
            agent.request("GET", "/api/agent/tasks", headers={"Authorization": f"Bearer {key}"})
            reply = agent.getresponse()
            reply.read()
            answered[reply.status] += 1
        agent.close()

    threads = [threading.Thread(target=poll) for _ in range(POLLERS)]
    for thread in threads:
        thread.start()
    others = 0
    while any(thread.is_alive() for thread in threads):
        served(live_server, token)
        others += 1
    for thread in threads:
        thread.join()
    assert answered == {200: POLLS}
    assert others > 10
    assert mebibytes(live_server) < MOST_MEBIBYTES


def test_a_body_without_end_is_cut_off(live_server: LiveServer) -> None:
    """Announced or not, more than the limit is neither kept nor waited for."""
    token = live_server.mint("greedy")
    before = mebibytes(live_server)
    authorized = HEADER + f"Authorization: Bearer {token}\r\n".encode()
    with connection(live_server) as announced:
        announced.sendall(authorized + b"Content-Length: 10000000000\r\n\r\n{")
        assert b" 413 " in announced.recv(200)
    with connection(live_server) as endless:
        endless.sendall(authorized + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(64):
                endless.sendall(piece)
    served(live_server, token)
    assert mebibytes(live_server) < before + 64
