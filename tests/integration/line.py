# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The line between agents and their server, for tests in which something happens to a request on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Ask = Callable[[], HTTPConnection]
"""Sends the request on its way to the server; who calls it may wait for the answer, and closes the connection."""


class Line(ThreadingHTTPServer):
    """Hands every request on to a server; drops the connection when there is none."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        """:param port: the server's, on this machine"""
        super().__init__(("127.0.0.1", 0), _Request)
        self.target = port
        self.fate: Callable[[Ask], None] | None = None
        """What becomes of the next final report of a job. Its agent never sees an answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """The server is not there, which is what these tests are about."""


class _Request(BaseHTTPRequestHandler):
    server: Line

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def ask() -> HTTPConnection:
            there = HTTPConnection("127.0.0.1", self.server.target, timeout=60)
            there.request(self.command, self.path, body, dict(self.headers))
            return there

        fate = self.server.fate
        if self.path == "/api/agent/status" and fate is not None:
            self.server.fate = None
            fate(ask)
            return
        with closing(ask()) as asked:
            reply = asked.getresponse()
            content = reply.read()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers["Content-Type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@contextmanager
def line(port: int) -> Iterator[Line]:
    """A line to the server on a port."""
    with Line(port) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
