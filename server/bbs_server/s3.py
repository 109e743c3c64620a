# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small client for S3-compatible storage: list, put, delete. Standard library only."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

TIMEOUT_SECONDS = 60
EMPTY = hashlib.sha256(b"").hexdigest()

_ALGORITHM = "AWS4-HMAC-SHA256"
_CHUNK_BYTES = 1024 * 1024


class S3Error(Exception):
    """The storage cannot be reached or refuses; the message is one sentence without secrets."""


@dataclass(frozen=True)
class Bucket:
    """A bucket and the keys to it.

    :param endpoint: URL of the storage; a name without a scheme means https.
    """

    endpoint: str
    region: str
    name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    def list(self, prefix: str) -> dict[str, int]:
        """The size of every object whose key begins with the prefix.

        :raises S3Error: unreachable or refused.
        """
        found: dict[str, int] = {}
        query = {"list-type": "2", "prefix": prefix}
        while True:
            tree = self._parsed(self._request("GET", "", query=query))
            for entry in _all(tree, "Contents"):
                found[_text(entry, "Key")] = int(_text(entry, "Size") or 0)
            token = _text(tree, "NextContinuationToken")
            if not token:
                return found
            query = {**query, "continuation-token": token}

    def put(self, key: str, file: Path, headers: Mapping[str, str], pause: Callable[[int], None]) -> None:
        """Store a file.

        :param headers: such as ``x-amz-storage-class``.
        :param pause: called with the number of bytes after each chunk; may wait.
        :raises S3Error: unreachable or refused.
        """
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.seek(0, 2)
            stream.seek(0)
            body = _chunks(stream, size, pause)
            self._request("PUT", key, headers={**headers, "Content-Length": str(size)}, body=body, digest=digest)

    def delete(self, key: str) -> None:
        """Remove an object; no error when there is none.

        :raises S3Error: unreachable or refused.
        """
        self._request("DELETE", key)

    def _request(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Iterator[bytes] | None = None,
        digest: str = EMPTY,
    ) -> bytes:
        scheme, _, rest = self.endpoint.rpartition("://")
        host, _, base = rest.rstrip("/").partition("/")
        path = "/" + "/".join(_quoted(part) for part in (base, self.name, *key.split("/")) if part)
        target = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted((query or {}).items()))
        signed = self.signed(method, host, path, target, headers or {}, digest, datetime.now(UTC))
        connect = http.client.HTTPConnection if scheme == "http" else http.client.HTTPSConnection
        try:
            connection = connect(host, timeout=TIMEOUT_SECONDS)
            try:
                connection.request(method, f"{path}?{target}" if target else path, body=body, headers=signed)
                reply = connection.getresponse()
                content = reply.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise S3Error(f"The storage at {host} cannot be reached ({type(error).__name__}).") from error
        if not 200 <= reply.status < 300:
            code = re.search(rb"<Code>([A-Za-z]{1,50})</Code>", content)
            told = f" ({code[1].decode()})" if code else ""
            raise S3Error(f"The storage at {host} answered {reply.status}{told}.")
        return content

    def signed(
        self,
        method: str,
        host: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        digest: str,
        now: datetime,
    ) -> dict[str, str]:
        """The headers of a request with its signature, version 4."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        every = {**headers, "Host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        lowered = {name.lower(): value.strip() for name, value in every.items() if name != "Content-Length"}
        names = ";".join(sorted(lowered))
        lines = "".join(f"{name}:{lowered[name]}\n" for name in sorted(lowered))
        canonical = "\n".join((method, path, query, lines, names, digest))
        text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"{_ALGORITHM} Credential={self.access_key}/{scope}"
        return {**every, "Authorization": f"{credential},SignedHeaders={names},Signature={signature}"}

    def _parsed(self, content: bytes) -> ElementTree.Element:
        # A document type could make a small answer grow without bounds.
        if b"<!DOCTYPE" in content:
            raise S3Error("The storage answered with something else than S3's lists.")
        try:
            return ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            raise S3Error("The storage answered with something else than S3's lists.") from error


def _chunks(stream: BinaryIO, size: int, pause: Callable[[int], None]) -> Iterator[bytes]:
    # Borg may append to a file meanwhile; what is sent is what was announced.
    left = size
    while left and (chunk := stream.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
        pause(len(chunk))


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def _all(tree: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    # Some storages leave the namespace out.
    return (child for child in tree if child.tag.rpartition("}")[2] == name)


def _text(tree: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in _all(tree, name)), "")
