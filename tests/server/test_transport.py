# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain HTTP with other machines never happens by accident, and only named proxies are believed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from bbs_server import transport
from bbs_server.settings import Settings, SettingsError

from .conftest import Server, make_settings


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_tls(tmp_path: Path, address: str) -> None:
    transport.check(make_settings(tmp_path, listen_address=address))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "192.0.2.10", "2001:db8::1", "backup.example"])
def test_any_other_address_is_refused_without_tls(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError, match=r"without TLS.*tls_certificate.*trusted_proxies.*listen_address"):
        transport.check(make_settings(tmp_path, listen_address=address))


def test_a_named_proxy_stands_for_tls(tmp_path: Path) -> None:
    transport.check(make_settings(tmp_path, listen_address="0.0.0.0", trusted_proxies=["192.0.2.1", "2001:db8::/64"]))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tls_certificate": "a.pem"}, "belong together"),
        ({"tls_key": "a.pem"}, "belong together"),
        ({"tls_certificate": "/nowhere/a.pem", "tls_key": "/nowhere/b.pem"}, "'tls_certificate' names /nowhere/a.pem"),
        ({"tls_certificate": __file__, "tls_key": __file__}, "not a certificate and its unencrypted key"),
        ({"trusted_proxies": ["nginx"]}, "'trusted_proxies' holds 'nginx'"),
        ({"trusted_proxies": ["192.0.2.1/24"]}, "'trusted_proxies' holds '192.0.2.1/24'"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        transport.check(make_settings(tmp_path, **settings))


def test_ipv6_addresses_stand_in_brackets_in_the_url(tmp_path: Path) -> None:
    assert Settings(directory=tmp_path, listen_address="::1").url == "http://[::1]:8080"


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']}".encode()]


def ask(tmp_path: Path, peer: str, **settings: Any) -> tuple[int, str]:
    """What the application sees of a request that says it was forwarded."""
    app = transport.TrustedProxies(echo, make_settings(tmp_path, **settings))
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    reply = Client(app).get("/", headers=headers, environ_base={"REMOTE_ADDR": peer})
    return reply.status_code, reply.text


@pytest.mark.parametrize("peer", ["192.0.2.1", "::ffff:192.0.2.1"])
def test_a_named_proxy_is_believed(tmp_path: Path, peer: str) -> None:
    assert ask(tmp_path, peer, trusted_proxies=["192.0.2.1"]) == (200, "198.51.100.7 https")


def test_nobody_else_is_believed(tmp_path: Path) -> None:
    assert ask(tmp_path, "127.0.0.1") == (200, "127.0.0.1 http")
    assert ask(tmp_path, "127.0.0.1", trusted_proxies=["192.0.2.1"]) == (200, "127.0.0.1 http")


def test_other_machines_do_not_get_around_the_proxy(tmp_path: Path) -> None:
    status, text = ask(tmp_path, "192.0.2.2", trusted_proxies=["192.0.2.1"])

    assert status == 403
    assert "trusted_proxies" in text


def test_guesses_are_counted_for_the_caller_behind_the_proxy(server: Server) -> None:
    """Else one who guesses would lock out everybody behind the same proxy."""
    app = transport.TrustedProxies(server.app, make_settings(Path("/nowhere"), trusted_proxies=["127.0.0.1"]))

    def guess(caller: str) -> int:
        headers = {"Authorization": "Bearer bad", "X-Forwarded-For": caller}
        base = {"REMOTE_ADDR": "127.0.0.1"}
        return Client(app).get("/api/v1/plugins", headers=headers, environ_base=base).status_code

    assert [guess("198.51.100.7") for _ in range(21)][-1] == 429
    assert guess("198.51.100.8") == 401
