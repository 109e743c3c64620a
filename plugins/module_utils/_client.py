# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side of the admin API: one session, patient where that is safe, plain words when it fails."""

from __future__ import annotations

import random
import time
import warnings
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Callable, ClassVar, Mapping

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.borgfleet.bbs.plugins.module_utils._connection import API_ROOT, Connection
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    ApiError,
    BbsError,
    RouteMissing,
    TransportError,
)

try:
    import requests
except ImportError:
    REQUESTS_FOUND = False
else:
    REQUESTS_FOUND = True

Json = Any
Query = Mapping[str, Any]

CONNECT_SECONDS = 10
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A longer Retry-After would hold a playbook up for minutes; it is reported instead.
LONGEST_RETRY_AFTER_SECONDS = 60.0
TOO_MANY_REQUESTS = 429
GATEWAY_STATUSES = frozenset({502, 503, 504})


class _Bearer:
    """Sends the token; as ``auth``, because ``requests`` lets a netrc entry replace a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def new_session(connections: int) -> Any:
    """A fresh ``requests`` session; tests replace this to reach a server in the same process.

    :param connections: how many are kept open, for as many threads
    """
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=connections))
    return session


class ApiClient:
    """Talks to one server.

    :param sleep: takes seconds
    :param jitter: returns a number from 0 to 1
    """

    # How many threads may ask at once without opening a connection for each request.
    connections: ClassVar[int] = 1

    def __init__(
        self,
        connection: Connection,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not REQUESTS_FOUND:
            raise BbsError(missing_required_lib("requests"))
        self.url = connection.url
        self._connection = connection
        self._sleep = sleep
        self._jitter = jitter
        self._session = new_session(self.connections)
        self._session.auth = _Bearer(connection.token)
        self._session.headers.update({"Accept": "application/json", "User-Agent": "borgfleet.bbs"})
        if connection.verify is False:
            # Who sets validate_certs to false has been told so by the documentation.
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")

    @cached_property
    def _surroundings(self) -> dict[str, Any]:
        """Proxies, authorities and certificate, from the options and the environment; the same for all requests."""
        url, connection = self.url, self._connection
        found: dict[str, Any] = self._session.merge_environment_settings(
            url, {}, None, connection.verify, connection.cert
        )
        return found

    def get(self, path: str, query: Query | None = None) -> Json:
        return self._repeated("GET", path, query=query)

    def get_list(self, path: str, items: str, query: Query | None = None) -> list[dict[str, Any]]:
        """The list that an answer holds under a key.

        :raises TransportError: it is not there, so this is some other program's JSON
        """
        return self._items(path, items, self.get(path, query))

    def _items(self, path: str, items: str, answer: Json) -> list[dict[str, Any]]:
        found = answer.get(items) if isinstance(answer, dict) else None
        if not isinstance(found, list):
            raise TransportError(
                f"The server at {self.url} answered GET {API_ROOT}{path} without {items}. "
                "Is url the address of a Borg Backup Server?"
            )
        return found

    def put(self, path: str, body: Json, query: Query | None = None) -> Json:
        return self._repeated("PUT", path, body=body, query=query)

    def delete(self, path: str, query: Query | None = None) -> Json:
        return self._repeated("DELETE", path, query=query)

    def post(self, path: str, body: Json | None = None, happened: Callable[[], Json | None] = lambda: None) -> Json:
        """POST once; after a failure that leaves it open whether the server acted, look before trying again.

        :param happened: returns what the request was to bring about if it is there, else None
        """
        return self._repeated("POST", path, body=body, happened=happened)

    def has_feature(self, name: str) -> bool:
        """Whether the server announces something that upstream does not have."""
        try:
            return name in self.get("/auth/discover").get("features", [])
        except RouteMissing:
            return False

    def _repeated(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Query | None = None,
        happened: Callable[[], Json | None] | None = None,
    ) -> Json:
        """Send until an answer counts, at most ``retries`` times more than once."""
        gone = 0
        while True:
            try:
                return self._send(method, path, body, query)
            except _Passing as failure:
                if gone >= self._connection.retries or failure.wait > LONGEST_RETRY_AFTER_SECONDS:
                    raise failure.final from failure.__cause__
                self._sleep(failure.wait or self._pause(gone))
                gone += 1
                if happened is not None and failure.maybe_done:
                    found = happened()
                    if found is not None:
                        return found

    def _pause(self, gone: int) -> float:
        ceiling: float = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**gone)
        return ceiling * (0.5 + self._jitter() / 2)

    def _send(self, method: str, path: str, body: Json | None, query: Query | None) -> Json:
        connection = self._connection
        try:
            request = requests.Request(method, f"{connection.url}{API_ROOT}{path}", json=body, params=query)
            response = self._session.send(
                self._session.prepare_request(request),
                timeout=(min(CONNECT_SECONDS, connection.timeout), connection.timeout),
                # Following one would turn a POST into a GET.
                allow_redirects=False,
                **self._surroundings,
            )
        except requests.exceptions.SSLError as error:
            advice = "Check ca_path, client_cert and validate_certs."
            if "WRONG_VERSION_NUMBER" in str(error):
                advice = "What answers there does not speak TLS: does url have to begin with http://?"
            raise TransportError(
                f"No trusted TLS connection to the Borg Backup Server at {self.url}: {_root_cause(error)}. {advice}"
            ) from error
        except _broken() as error:
            raise _Passing(self._unreachable(error), maybe_done=not _never_sent(error)) from error
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise TransportError(f"Cannot ask {self.url}: {_root_cause(error)}.") from error
        return self._answer(method, path, response)

    def _unreachable(self, error: Exception) -> TransportError:
        if isinstance(error, requests.exceptions.ReadTimeout):
            return TransportError(
                f"The Borg Backup Server at {self.url} did not answer within {self._connection.timeout} "
                "seconds. Is it overloaded? The option timeout says how long to wait."
            )
        return TransportError(
            f"Cannot reach the Borg Backup Server at {self.url}: {_root_cause(error)}. Is it running, and is url right?"
        )

    def _answer(self, method: str, path: str, response: Any) -> Json:
        """The decoded body, or the failure that the response means (admin-api.md §1)."""
        status = response.status_code
        body = _decoded(response)
        if status == TOO_MANY_REQUESTS:
            raise self._throttled(response)
        if status in GATEWAY_STATUSES and not (isinstance(body, dict) and "status" in body):
            wait = _seconds(response.headers.get("Retry-After"))
            raise _Passing(self._refusal(method, path, status, body), wait=wait, maybe_done=True)
        if status == 204:
            return {}
        if 300 <= status < 400:
            target = response.headers.get("Location", "another address")
            raise TransportError(f"The server at {self.url} redirects to {target}. Set url to that.")
        if body is None:
            raise self._not_json(method, path, response)
        if status >= 400:
            raise self._refusal(method, path, status, body)
        return body

    def _throttled(self, response: Any) -> _Passing:
        wait = _seconds(response.headers.get("Retry-After"))
        advice = f"It asks to wait {wait:.0f} seconds." if wait else "Wait up to five minutes."
        return _Passing(
            ApiError(
                f"The server at {self.url} refuses requests from here for now, after too many with a wrong "
                f"token. {advice} Check the tokens of everything that calls it from this address.",
                TOO_MANY_REQUESTS,
            ),
            wait=wait,
        )

    def _not_json(self, method: str, path: str, response: Any) -> BbsError:
        """The body is not quoted: upstream prints database errors, with values, into it (admin-api.md §1)."""
        status = response.status_code
        if status == 404:
            return RouteMissing(
                f"The server at {self.url} does not know {method} {API_ROOT}{path}: it is too old for this, "
                "or url is not the address of a Borg Backup Server.",
                status,
            )
        if status >= 500:
            return ApiError(
                f"The server at {self.url} failed on {method} {API_ROOT}{path} (HTTP {status}) and gives "
                "no reason. Its log has it.",
                status,
            )
        kind = response.headers.get("Content-Type", "no content type").split(";")[0]
        return TransportError(
            f"The server at {self.url} answered {method} {API_ROOT}{path} with HTTP {status} and something "
            f"that is not JSON ({kind}). Is url the address of a Borg Backup Server, and not of a proxy?"
        )

    def _refusal(self, method: str, path: str, status: int, body: Json) -> ApiError:
        details = body if isinstance(body, dict) else {}
        reason = str(details.get("error") or details.get("message") or "").strip()
        said = f": {reason.rstrip('.')}." if reason else "."
        texts: dict[int, str] = {
            401: f"The server at {self.url} refuses the token{said} Check token, token_file, BBS_TOKEN and "
            "BBS_TOKEN_FILE.",
            403: f"The token may not do this on {self.url}{said} It has to belong to an administrator and "
            "to have the scope for it.",
        }
        rejected = f"The server at {self.url} rejected {method} {API_ROOT}{path} (HTTP {status}){said}"
        failed = f"The server at {self.url} failed on {method} {API_ROOT}{path} (HTTP {status}){said}"
        text = texts.get(status, failed if status >= 500 else rejected)
        return ApiError(text, status, reason, details)


class _Passing(Exception):
    """A failure that may pass.

    :param final: what to report when it does not
    :param wait: seconds that the server asks for; 0 when it does not say
    :param maybe_done: whether the server may have acted on the request
    """

    def __init__(self, final: BbsError, wait: float = 0.0, maybe_done: bool = False) -> None:
        super().__init__(str(final))
        self.final = final
        self.wait = wait
        self.maybe_done = maybe_done


def _broken() -> tuple[type[Exception], ...]:
    """What ``requests`` raises when a connection is not made, breaks or stalls."""
    kinds = requests.exceptions
    return (kinds.ConnectionError, kinds.Timeout, kinds.ChunkedEncodingError)


def _decoded(response: Any) -> Json:
    """The JSON body, or None for anything else, also for a bare scalar or null."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, (dict, list)) else None


def _seconds(retry_after: str | None) -> float:
    """``Retry-After`` as seconds from now: a number or a date (RFC 9110 §10.2.3)."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what it wraps, outermost first; urllib3 keeps the cause in ``reason`` or ``args``."""
    found = [error]
    while len(found) < 10:
        last = found[-1]
        inner = [last.__cause__, getattr(last, "reason", None), *last.args, last.__context__]
        causes = [item for item in inner if isinstance(item, BaseException) and item not in found]
        if not causes:
            break
        found.append(causes[0])
    return found


def _never_sent(error: Exception) -> bool:
    """Whether the connection was not even made, so that the server cannot have acted."""
    names = {type(item).__name__ for item in _chain(error)}
    return bool(names & {"NewConnectionError", "ConnectTimeout", "ConnectTimeoutError", "NameResolutionError"})


def _root_cause(error: Exception) -> str:
    """The innermost reason in a few words; the operating system's when there is one."""
    chain = _chain(error)
    for item in reversed(chain):
        if isinstance(item, OSError) and item.strerror and not isinstance(item, requests.RequestException):
            return item.strerror[0].lower() + item.strerror[1:]
    if any("Timeout" in type(item).__name__ for item in chain):
        return "connection timed out"
    return str(chain[-1]).rstrip(".") or type(chain[-1]).__name__
