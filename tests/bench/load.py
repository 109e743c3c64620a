# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests, as many as can be answered (wrk) or so many a second, as agents send them."""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

WRITING = """
wrk.headers["Content-Type"] = "application/json"
local threads = 0
setup = function(t) threads = threads + 1; t:set("thread", threads) end
local count, stamp = 0, os.time()
request = function()
  count = count + 1
  return wrk.format("{method}", nil, nil, {body})
end
"""
"""A script of wrk; the body is an expression in which ``thread``, ``count`` and ``stamp`` are numbers."""


@dataclass(frozen=True)
class Load:
    """What came of a load.

    :param rate: requests answered in a second
    :param p99: milliseconds within which 99 of 100 were answered
    """

    rate: float
    p99: float


def wrk(url: str, key: str, seconds: float, method: str = "GET", body: str = "") -> Load:
    """As many requests as are answered on 8 connections, after a warm-up.

    :param key: of an agent, or a token
    :param body: see :data:`WRITING`
    """
    _run(url, key, seconds / 5, method, body)
    return _run(url, key, seconds, method, body)


def _run(url: str, key: str, seconds: float, method: str, body: str) -> Load:
    command = [
        "wrk",
        "-t2",
        "-c8",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "--timeout=10s",
        "-H",
        f"Authorization: Bearer {key}",
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if body:
            script.write(WRITING.format(method=method, body=body))
            script.flush()
            command += ["-s", script.name]
        told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told and "Socket errors" not in told, told
    rate, p99 = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"99%\s+([\d.]+)(us|ms|s)", told)
    assert rate and p99, told
    return Load(float(rate[1]), float(p99[1]) * _UNITS[p99[2]])


@dataclass
class Paced:
    """Polls sent at fixed times, whether or not earlier ones were answered, each on a connection of its own."""

    port: int
    milliseconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, rate: float, seconds: float, key: Callable[[int], str], over: Callable[[], bool]) -> Load:
        """Send so many a second.

        :param seconds: how long at least
        :param key: the agent key of each number
        :param over: whether to end after that
        """
        asyncio.run(self._send(rate, seconds, key, over))
        answered = sorted(self.milliseconds)
        assert not self.failures, self.failures[:3]
        return Load(rate, answered[len(answered) * 99 // 100])

    async def _send(self, rate: float, seconds: float, key: Callable[[int], str], over: Callable[[], bool]) -> None:
        began, number, tasks = time.perf_counter(), 0, set[asyncio.Task[None]]()
        while (due := number / rate) < seconds or not over():
            await asyncio.sleep(began + due - time.perf_counter())
            task = asyncio.create_task(self._poll(began + due, key(number)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.gather(*tasks)

    async def _poll(self, due: float, key: str) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            head = f"GET /api/agent/tasks HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode())
            reply = await reader.read()
            writer.close()
        except OSError as error:
            self.failures.append(str(error))
            return
        self.milliseconds.append((time.perf_counter() - due) * 1000)
        if not reply.startswith(b"HTTP/1.1 200"):
            self.failures.append(reply[:300].decode(errors="replace"))
