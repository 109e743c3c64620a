# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3-compatible storage on the loopback address: lists, stores, deletes, and checks every signature."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

PAGE = 3
"""Objects in one answer: few, so that lists come in parts."""


@dataclass
class FakeS3:
    """The storage; keys begin with the bucket's name."""

    access_key: str = "AKIAEXAMPLE"
    secret_key: str = "s3cr3t/key+with=signs"
    objects: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    port: int = 0

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def signature(self, request: BaseHTTPRequestHandler, names: str, scope: str) -> str:
        """What the signature of a request must be, from the words of AWS' documentation."""
        path, _, query = request.path.partition("?")
        lines = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names.split(";"))
        digest = request.headers["x-amz-content-sha256"]
        canonical = "\n".join([request.command, path, query, lines, names, digest])
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashed])
        key = ("AWS4" + self.secret_key).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _handler(storage: FakeS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._allowed(b""):
                return
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            bucket = url.path.strip("/")
            keys = sorted(key for key in storage.objects if key.startswith(f"{bucket}/{query['prefix']}"))
            start = int(query.get("continuation-token", 0))
            entries = "".join(
                f"<Contents><Key>{escape(key.removeprefix(bucket + '/'))}</Key>"
                f"<Size>{len(storage.objects[key])}</Size></Contents>"
                for key in keys[start : start + PAGE]
            )
            more = start + PAGE < len(keys)
            token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
            namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
            self._answer(200, f'<ListBucketResult xmlns="{namespace}">{entries}{token}</ListBucketResult>')

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self._allowed(body):
                storage.objects[self._key] = body
                storage.headers[self._key] = {name.lower(): value for name, value in self.headers.items()}
                self._answer(200)

        def do_DELETE(self) -> None:
            if self._allowed(b""):
                storage.objects.pop(self._key, None)
                self._answer(204)

        @property
        def _key(self) -> str:
            return urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/")

        def _allowed(self, body: bytes) -> bool:
            pattern = r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})"
            found = re.fullmatch(pattern, self.headers.get("Authorization", ""))
            right = (
                found is not None
                and found[1] == storage.access_key
                and "host" in found[3].split(";")
                and hashlib.sha256(body).hexdigest() == self.headers["x-amz-content-sha256"]
                and found[4] == storage.signature(self, found[3], found[2])
            )
            if not right:
                self._answer(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return right

        def _answer(self, status: int, text: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def fake_s3() -> Iterator[FakeS3]:
    """Running storage."""
    storage = FakeS3()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(storage)) as server:
        storage.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield storage
        finally:
            server.shutdown()
            thread.join()
