# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How requests may reach the server: over its own TLS, through named proxies, or from this machine.

Tokens and agent keys travel in requests, so plain HTTP is never spoken with other machines by accident.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

from bbs_server.settings import Settings, SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def check(settings: Settings) -> None:
    """Make sure that credentials cannot be read on the way.

    :raises SettingsError: certificate and key do not fit, a proxy is no address, or the server would
        speak plain HTTP with other machines.
    """
    networks = trusted_networks(settings)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("The settings 'tls_certificate' and 'tls_key' belong together: name both files or neither.")
    if settings.tls_certificate:
        _check_certificate(settings)
    elif not networks and not _is_loopback(settings.listen_address):
        raise SettingsError(
            f"The server would listen on {settings.listen_address or 'all addresses'} without TLS, and tokens could "
            "be read on the way. Name a certificate in 'tls_certificate' and 'tls_key', or the proxy that speaks TLS "
            "in 'trusted_proxies', or set 'listen_address' to 127.0.0.1."
        )


def trusted_networks(settings: Settings) -> list[Network]:
    """The addresses of proxies whose word on the caller counts.

    :raises SettingsError: one is neither an address nor a network.
    """
    networks = []
    for text in settings.trusted_proxies:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise SettingsError(
                f"The setting 'trusted_proxies' holds {text!r}: it must be an IP address or a network such as "
                "192.0.2.0/24."
            ) from error
    return networks


class TrustedProxies:
    """Believes ``X-Forwarded-For``, ``-Proto``, ``-Host`` of named proxies, and nobody else's.

    Where plain HTTP is spoken for the proxies' sake, other machines are turned away.
    """

    def __init__(self, app: WsgiApp, settings: Settings) -> None:
        self._direct = app
        self._forwarded = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._networks = trusted_networks(settings)
        self._plain = not settings.tls_certificate

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        peer = environ.get("REMOTE_ADDR", "")
        if self._trusts(peer):
            return self._forwarded(environ, start_response)
        if self._plain and self._networks and not _is_loopback(peer):
            body = json.dumps({"error": "Plain HTTP is only spoken with the proxies of 'trusted_proxies'."}).encode()
            start_response("403 FORBIDDEN", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        return self._direct(environ, start_response)

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


def _check_certificate(settings: Settings) -> None:
    for name in ("tls_certificate", "tls_key"):
        try:
            Path(getattr(settings, name)).read_bytes()
        except OSError as error:
            raise SettingsError(f"The setting {name!r} names {error.filename}: {error.strerror}.") from error
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except ssl.SSLError as error:
        raise SettingsError(
            "The files of 'tls_certificate' and 'tls_key' are not a certificate and its unencrypted key, both PEM."
        ) from error


def _is_loopback(text: str) -> bool:
    address = _address(text)
    return text == "localhost" or (address is not None and address.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # An IPv6 socket shows IPv4 peers as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address
