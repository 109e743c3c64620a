# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that never reach a route's own rules: unknown paths, other methods, other media, too much (design §4)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from bbs_server.app import LARGEST_BODY_BYTES

from .conftest import Server


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/api/v1",
        "/api/v1/nope",
        "/api//v1/clients",
        "/api/v1/Clients",
        "/api/agent/nope",
        f"/api/v1/jobs/{10**20}",
    ],
)
def test_unknown_paths_are_json(server: Server, path: str) -> None:
    reply = server.http.get(path, headers={"Authorization": f"Bearer {server.token}"})

    assert (reply.status_code, list(reply.get_json())) == (404, ["error"])


@pytest.mark.parametrize("path", ["/clients", f"/clients/{10**20}/plans"])
def test_another_method_is_told_which_there_are(server: Server, path: str) -> None:
    reply = server.call("DELETE", path)

    if path == "/clients":
        assert (reply.status_code, list(reply.get_json())) == (405, ["error"])
        assert {"GET", "POST"} <= set(reply.headers["Allow"].replace(",", " ").split())
        assert reply.get_json()["error"] == "This page does not take DELETE; it takes GET, HEAD, OPTIONS, POST."
    else:
        assert reply.status_code == 404, "an id that cannot exist is no path with other methods"


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read(server: Server, media: str) -> None:
    reply = server.call("POST", "/clients", data=b'{"name": "web01"}', content_type=media)

    assert reply.status_code == 415
    assert "application/json" in reply.get_json()["error"]
    assert server.get("/clients") == {"clients": []}


def test_a_body_in_chunks_has_to_be_json_too(server: Server) -> None:
    chunked = {"Transfer-Encoding": "chunked", "Authorization": f"Bearer {server.token}"}
    reply = server.http.post("/api/v1/clients", headers=chunked, content_type="text/plain", input_stream=BytesIO())

    assert reply.status_code == 415, reply.text


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"name": "a"', b"\xff\xfe", b'{"name": "bad\xff"}', b'{"name": NaN}', b'{"x": -Infinity}'],
)
def test_malformed_json_is_refused(server: Server, body: bytes) -> None:
    reply = server.call("POST", "/clients", data=body, content_type="application/json")

    assert reply.status_code == 400
    assert reply.get_json() == {"error": "The body is not valid JSON."}


@pytest.mark.parametrize("body", [[], ["name"], "name", 5, None, True])
def test_json_that_is_no_object_is_refused(server: Server, body: Any) -> None:
    reply = server.http.post("/api/v1/clients", json=body, headers={"Authorization": f"Bearer {server.token}"})

    assert (reply.status_code, list(reply.get_json())) == (400, ["error"])


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    body = b'{"name": "' + b"a" * LARGEST_BODY_BYTES + b'"}'
    reply = server.call("POST", "/clients", data=body, content_type="application/json")

    assert (reply.status_code, list(reply.get_json())) == (413, ["error"])


def test_what_was_rejected_is_not_repeated(server: Server) -> None:
    reply = server.call("POST", "/clients", {"name": {"secret": "hunter2"}})

    assert reply.status_code == 400
    assert "hunter2" not in reply.text


@pytest.mark.parametrize(
    "body",
    [b'{"name": ' + b"9" * 5000 + b"}", b"[" * 100_000 + b"]" * 100_000, b'{"name": "\\ud800"}'],
    ids=["long number", "deep nesting", "lone surrogate"],
)
def test_json_that_nothing_can_read_is_refused(server: Server, body: bytes) -> None:
    reply = server.call("POST", "/clients", headers={"Content-Type": "application/json"}, data=body)

    assert reply.status_code == 400, reply.text
    assert list(reply.json) == ["error"]
