# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's side of the HTTP interface (agent-protocol.md §5): JSON in, JSON out, clear errors."""

import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any, Dict, Optional

from . import VERSION

TIMEOUT = 60
STATUS_TIMEOUT = 600
LARGEST_REPLY = 64 * 1024 * 1024
LARGEST_DOWNLOAD = 512 * 1024 * 1024
CHUNK = 256 * 1024
Reply = Dict[str, Any]
# Some proxies block what Python calls itself (agent-protocol.md §5).
_NAMED = {"User-Agent": "BBS-Agent/" + VERSION}


class ApiError(Exception):
    """A request failed; the text is one sentence for a person.

    `final` says that the same request will never be accepted, so repeating it makes no sense.
    """

    final = False


class Unreachable(ApiError):
    """No connection: name, route, refused, timed out."""


class TlsProblem(ApiError):
    """The server's certificate is not trusted, or TLS itself failed."""


class KeyRejected(ApiError):
    """The server does not know this agent key (401)."""


class NotABbs(ApiError):
    """Something answered, but not a Borg Backup Server: no JSON, a redirect."""


class Refused(ApiError):
    """The server understood and said no: 4xx with a reason."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        # 429 and 408 pass with time; the others are about the request itself.
        self.final = status not in (408, 429)


class ServerProblem(ApiError):
    """The server failed (5xx); it may be well again in a moment."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would turn a POST into a GET and could carry the key elsewhere."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class Api:
    """One server, one key. Methods raise ApiError and nothing else; safe to use from threads."""

    def __init__(self, url: str, key: str, ca_file: Optional[str] = None) -> None:
        """`url` without a path, `ca_file` a PEM file that is trusted instead of the system's.

        Raises Unreachable for a URL that is none and TlsProblem for a CA file that cannot be used.
        """
        self.url = url.rstrip("/")
        self._key = key
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https") or " " in self.url:
            raise Unreachable("{!r} is not a server address such as https://backup.example.com".format(url))
        self._opener = urllib.request.build_opener(
            _NoRedirects(), urllib.request.HTTPSHandler(context=_tls_context(ca_file))
        )

    def use_key(self, key: str) -> None:
        """Use another key from the next request on."""
        self._key = key

    def register(self, facts: Dict[str, Any]) -> Reply:
        """Tell the server about this machine (§5.1); returns its interval and SSH coordinates."""
        return self._call("POST", "register", facts)

    def ssh_key(self) -> Reply:
        """The private SSH key of this client and where it is used (§5.5)."""
        return self._call("GET", "ssh-key")

    def tasks(self) -> Reply:
        """Poll (§5.2)."""
        return self._call("GET", "tasks")

    def progress(self, report: Dict[str, Any]) -> Reply:
        """Report progress of a job (§5.3); the reply may ask to cancel."""
        return self._call("POST", "progress", report)

    def status(self, report: Dict[str, Any]) -> Reply:
        """Report the end of a job (§5.4)."""
        return self._call("POST", "status", report, STATUS_TIMEOUT)

    def heartbeat(self) -> Reply:
        """Say that the agent lives while a task runs (§5.5)."""
        return self._call("POST", "heartbeat", {})

    def info(self, facts: Dict[str, Any]) -> Reply:
        """Tell the server what has changed about this machine (§5.5)."""
        return self._call("POST", "info", facts)

    def download(self, name: str) -> bytes:
        """One of the agent's own files (§2). Raises Refused when the server has no such file."""
        address = "{}/api/agent/download?file={}".format(self.url, urllib.parse.quote(name))
        return self._read(urllib.request.Request(address, headers=_NAMED), TIMEOUT)

    def fetch(self, address: str, target: IO[bytes]) -> None:
        """Write what lies under any address, or a path of this server, to `target`; without the key.

        Other hosts must be asked by https; they may redirect.
        """
        here = address.startswith("/") or address.startswith(self.url + "/")
        if not here and not address.startswith("https://"):
            raise Unreachable("{!r} is not an https address".format(address))
        request = urllib.request.Request(self.url + address if address.startswith("/") else address, headers=_NAMED)
        opener = self._opener if here else urllib.request.build_opener()
        try:
            with opener.open(request, timeout=STATUS_TIMEOUT) as response:
                for chunk in iter(lambda: response.read(CHUNK), b""):
                    target.write(chunk)
                    if target.tell() > LARGEST_DOWNLOAD:
                        raise Unreachable("{} is too large".format(address))
        except urllib.error.HTTPError as error:
            with error:
                raise Refused("{} answers HTTP {}".format(address, error.code), error.code) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable("cannot download {}: {}".format(address, getattr(error, "reason", error))) from error

    def _call(self, method: str, name: str, body: Optional[Dict[str, Any]] = None, timeout: float = TIMEOUT) -> Reply:
        request = urllib.request.Request(
            "{}/api/agent/{}".format(self.url, name),
            data=None if body is None else json.dumps(body).encode("utf-8"),
            headers=dict(
                _NAMED,
                Authorization="Bearer " + self._key,
                Accept="application/json",
                **{"Content-Type": "application/json"},
            ),
            method=method,
        )
        reply = _json_object(self._read(request, timeout))
        if reply is None:
            raise NotABbs("{} answers, but not as a Borg Backup Server (no JSON)".format(self.url))
        return reply

    def _read(self, request: urllib.request.Request, timeout: float) -> bytes:
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return bytes(response.read(LARGEST_REPLY))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        # ValueError: a key or host with characters that HTTP headers or host names cannot carry.
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._no_connection(error) from error

    def _refusal(self, error: urllib.error.HTTPError) -> ApiError:
        status = error.code
        if 300 <= status < 400:
            target = error.headers.get("Location") or "another address"
            return NotABbs("{} redirects to {}; use that address as the server".format(self.url, target))
        try:
            reply = _json_object(error.read(LARGEST_REPLY))
        except (OSError, http.client.HTTPException):
            reply = None
        if status >= 500:
            return ServerProblem("the server at {} failed with HTTP {}".format(self.url, status))
        if reply is None:
            return NotABbs("{} answers HTTP {}, but not as a BBS".format(self.url, status))
        reason = str(reply.get("error") or "no reason given")
        if status == 401:
            return KeyRejected("the server at {} does not know this key ({})".format(self.url, reason))
        return Refused("the server refused with HTTP {}: {}".format(status, reason), status)

    def _no_connection(self, error: BaseException) -> ApiError:
        reason = getattr(error, "reason", error)
        # ssl.CertificateError is no SSLError before Python 3.7.
        if isinstance(reason, (ssl.SSLError, ssl.CertificateError)):
            return TlsProblem(
                "no trusted TLS connection to {} ({}); if the server has a certificate of your own "
                "authority, name it with --ca-file".format(self.url, _tls_reason(reason))
            )
        if isinstance(reason, UnicodeEncodeError):
            # Its text would quote the header, and so the key.
            return Unreachable("the key or the address of {} has impossible characters".format(self.url))
        return Unreachable("cannot reach {}: {}".format(self.url, reason))


def _tls_context(ca_file: Optional[str]) -> ssl.SSLContext:
    if ca_file and not os.path.isfile(ca_file):
        raise TlsProblem("the CA file {} does not exist".format(ca_file))
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsProblem("the CA file {} cannot be used: {}".format(ca_file, error)) from error


def _tls_reason(error: BaseException) -> str:
    return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or error)


def _json_object(raw: bytes) -> Optional[Reply]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
