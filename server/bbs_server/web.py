# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP server: gunicorn around the application."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn.app.base import BaseApplication

from bbs_server import transport
from bbs_server.app import create_app
from bbs_server.settings import Settings


class AddressError(Exception):
    """The address cannot be listened on; the message says what to do."""


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        address = self._settings.listen_address
        options: dict[str, Any] = {
            "bind": f"{f'[{address}]' if ':' in address else address}:{self._settings.listen_port}",
            "certfile": self._settings.tls_certificate or None,
            "keyfile": self._settings.tls_key or None,
            # What proxies say is weighed by transport.TrustedProxies alone.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "workers": self._settings.web_processes,
            "threads": self._settings.web_threads,
            "worker_class": "gthread",
            "keepalive": 75,
            "timeout": 120,
            "graceful_timeout": 20,
            "control_socket_disable": True,
            "proc_name": "bbs-server",
            "loglevel": "warning",
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> transport.WsgiApp:
        return transport.TrustedProxies(create_app(self._settings), self._settings)


def serve(settings: Settings) -> None:
    """Answer HTTP until told to stop.

    :raises AddressError: the port is taken or the address is not this machine's.
    :raises SettingsError: credentials could be read on the way.
    """
    transport.check(settings)
    check_address(settings.listen_address, settings.listen_port)
    _Server(settings).run()


def check_address(address: str, port: int) -> None:
    """Find out whether an address can be listened on.

    :raises AddressError: it cannot.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            advice = "Stop the program that uses it or choose another port."
            raise AddressError(f"Cannot listen on {address}:{port}: {error.strerror}. {advice}") from error
