# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client: patience, and the sentence that a failure ends in."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter

from ansible_collections.borgfleet.bbs.plugins.module_utils import _client
from ansible_collections.borgfleet.bbs.plugins.module_utils._client import ApiClient
from ansible_collections.borgfleet.bbs.plugins.module_utils._connection import Connection
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    ApiError,
    BbsError,
    RouteMissing,
    TransportError,
)

URL = "http://bbs.test"
TOKEN = "bbs_tok_canary"
Step = Any


def answer(status: int, body: str = "{}", **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.raw = io.BytesIO(body.encode())
    response.headers.update({"Content-Type": "application/json", **headers})
    return response


def refused() -> Exception:
    inner = urllib3.exceptions.NewConnectionError(None, "refused")  # type: ignore[arg-type]
    inner.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return requests.exceptions.ConnectionError(inner)


def cut() -> Exception:
    """The connection breaks after the request went out."""
    return requests.exceptions.ConnectionError(ConnectionResetError(104, "Connection reset by peer"))


class Script(BaseAdapter):
    """Answers one step after the other and remembers what was asked."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self.steps = list(steps)
        self.asked: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.asked.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        step.request, step.url = request, request.url
        return step

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Stage:
    """A client, what answers it, and the pauses it made."""

    api: ApiClient
    script: Script
    pauses: list[float]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    def start(*steps: Step, retries: int = 3) -> Stage:
        script = Script(*steps)
        pauses: list[float] = []
        session = requests.Session()
        session.mount(URL, script)
        monkeypatch.setattr(_client, "new_session", lambda connections: session)
        connection = Connection(URL, TOKEN, retries=retries)
        return Stage(ApiClient(connection, sleep=pauses.append, jitter=lambda: 1.0), script, pauses)

    return start


@pytest.mark.parametrize("failure", [answer(429), answer(502), answer(503), answer(504), cut(), refused()])
@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_what_may_pass_is_repeated(play: Any, method: str, failure: Step) -> None:
    stage = play(failure, answer(200))
    arguments = ({},) if method == "put" else ()
    assert getattr(stage.api, method)("/x", *arguments) == {}
    assert len(stage.script.asked) == 2
    assert stage.pauses == [0.5]


def test_pauses_grow(play: Any) -> None:
    stage = play(*[answer(503)] * 4)
    with pytest.raises(ApiError, match="HTTP 503"):
        stage.api.get("/x")
    assert stage.pauses == [0.5, 1.0, 2.0]


def test_retry_after_is_honoured(play: Any) -> None:
    stage = play(answer(429, **{"Retry-After": "7"}), answer(200))
    stage.api.get("/x")
    assert stage.pauses == [7.0]


def test_retry_after_of_a_busy_server_is_honoured(play: Any) -> None:
    stage = play(answer(503, '{"error": "busy"}', **{"Retry-After": "5"}), answer(200))
    stage.api.put("/x", {})
    assert stage.pauses == [5.0]


def test_retry_after_as_a_date(play: Any) -> None:
    stage = play(answer(429, **{"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}), answer(200))
    stage.api.get("/x")
    assert stage.pauses == [0.5], "a time that is over means no wait beyond the usual"


def test_long_retry_after_is_reported(play: Any) -> None:
    stage = play(answer(429, **{"Retry-After": "290"}))
    with pytest.raises(ApiError, match="asks to wait 290 seconds"):
        stage.api.get("/x")
    assert stage.pauses == []


def test_post_is_not_repeated_when_it_happened(play: Any) -> None:
    stage = play(cut())
    assert stage.api.post("/x", {}, lambda: {"id": 7}) == {"id": 7}
    assert len(stage.script.asked) == 1


def test_post_is_repeated_when_it_did_not_happen(play: Any) -> None:
    stage = play(cut(), answer(201, '{"id": 8}'))
    assert stage.api.post("/x", {}, lambda: None) == {"id": 8}
    assert len(stage.script.asked) == 2


@pytest.mark.parametrize("failure", [refused(), answer(429)])
def test_post_that_never_arrived_needs_no_look(play: Any, failure: Step) -> None:
    def look() -> None:
        raise AssertionError("nothing can have happened")

    stage = play(failure, answer(201, '{"id": 8}'))
    assert stage.api.post("/x", {}, look) == {"id": 8}


def test_no_content(play: Any) -> None:
    assert play(answer(204, "")).api.delete("/x") == {}


@pytest.mark.parametrize("body", ["<b>Fatal error</b>: canary", "", "null", '"text"', "{"])
def test_other_than_json_is_a_failure_whatever_the_status(play: Any, body: str) -> None:
    stage = play(answer(200, body, **{"Content-Type": "text/html; charset=UTF-8"}))
    with pytest.raises(TransportError, match=r"something that is not JSON \(text/html\)") as caught:
        stage.api.get("/x")
    assert "canary" not in str(caught.value)


def test_unknown_route(play: Any) -> None:
    with pytest.raises(RouteMissing, match="too old"):
        play(answer(404, "404 Not Found")).api.get("/x")


def test_unknown_object(play: Any) -> None:
    with pytest.raises(ApiError, match="Client not found") as caught:
        play(answer(404, '{"error": "Client not found"}')).api.get("/x")
    assert not isinstance(caught.value, RouteMissing)


def test_empty_500(play: Any) -> None:
    with pytest.raises(ApiError, match="gives no reason"):
        play(answer(500, "")).api.put("/x", {})


@pytest.mark.parametrize("body", ["", '{"message": "Moved"}'])
def test_redirect_is_not_followed(play: Any, body: str) -> None:
    stage = play(answer(301, body, Location="https://other.example/"))
    with pytest.raises(TransportError, match=r"redirects to https://other\.example/"):
        stage.api.post("/x", {})
    assert len(stage.script.asked) == 1


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "refuses the token: Invalid API token."), (403, "may not do this on http://bbs.test: no.")],
)
def test_rights(play: Any, status: int, sentence: str) -> None:
    body = '{"error": "Invalid API token"}' if status == 401 else '{"error": "no"}'
    with pytest.raises(ApiError, match=sentence.replace(".", r"\.")) as caught:
        play(answer(status, body)).api.get("/x")
    assert TOKEN not in str(caught.value)


def test_server_down(play: Any) -> None:
    with pytest.raises(TransportError) as caught:
        play(refused(), retries=0).api.get("/x")
    assert str(caught.value) == (
        "Cannot reach the Borg Backup Server at http://bbs.test: connection refused. Is it running, and is url right?"
    )


def test_really_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real network stack: nothing listens on this port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(TransportError, match="connection refused"):
        ApiClient(Connection(url, TOKEN, retries=0)).get("/x")


def test_unknown_host() -> None:
    with pytest.raises(TransportError, match=r"Cannot reach .* at http://bbs.invalid: [a-z]"):
        ApiClient(Connection("http://bbs.invalid", TOKEN, retries=0)).get("/x")


def test_netrc_does_not_replace_the_token(play: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine bbs.test login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    stage = play(answer(200))
    stage.api.get("/x")
    assert stage.script.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_token_is_not_in_a_representation() -> None:
    assert TOKEN not in repr(Connection(URL, TOKEN))


def test_features(play: Any) -> None:
    assert play(answer(200, '{"features": ["dry_run"]}')).api.has_feature("dry_run")
    assert not play(answer(200, '{"version": "2.91.1"}')).api.has_feature("dry_run")
    assert not play(answer(404, "404 Not Found")).api.has_feature("dry_run")


def test_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "REQUESTS_FOUND", False)
    with pytest.raises(BbsError, match="requests"):
        ApiClient(Connection(URL, TOKEN))
