# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP server: granian around the application (docs/adr/0010-http-server.md)."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import socket
from pathlib import Path

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from bbs_server import transport
from bbs_server.app import create_app
from bbs_server.processes.children import end_with_parent
from bbs_server.settings import Settings

MOST_CONNECTIONS = 8192
"""Connections that one process holds open; those that send nothing take no thread."""

HEADER_SECONDS = 30
"""Patience with a caller that has yet to send a whole header, or the next one on the same connection."""

STOP_SECONDS = 20
"""Patience with requests at work when the server stops."""


class AddressError(Exception):
    """The address cannot be listened on; the message says what to do."""


def load(settings: Settings) -> transport.WsgiApp:
    """The application as it answers: requests pass the rules of :mod:`transport` first.

    :raises SettingsError: credentials could be read on the way.
    """
    transport.check(settings)
    application = create_app(settings)
    # Made here, it is shared by all processes forked later.
    application.url_map.update()
    return transport.TrustedProxies(application, settings)


def serve(settings: Settings, application: transport.WsgiApp) -> None:
    """Answer HTTP until told to stop, with processes that are forked from this one.

    :raises AddressError: the port is taken or the address is not this machine's.
    """
    check_address(settings.listen_address, settings.listen_port)
    multiprocessing.set_start_method("fork", force=True)
    _allow_connections()
    # Otherwise collecting garbage would write to, and so copy, the memory that is shared.
    gc.collect()
    gc.freeze()
    _server(settings).serve(target_loader=lambda: _answering(application), wrap_loader=False)


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


def _server(settings: Settings) -> MPServer:
    tls = settings.tls_certificate
    return MPServer(
        "bbs_server",
        address=settings.listen_address or "0.0.0.0",
        port=settings.listen_port,
        interface=Interfaces.WSGI,
        workers=settings.web_processes,
        blocking_threads=settings.web_threads,
        backpressure=MOST_CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000),
        ssl_cert=Path(tls) if tls else None,
        ssl_key=Path(settings.tls_key) if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    )


def _answering(application: transport.WsgiApp) -> transport.WsgiApp:
    """The application, in a process that has just been forked to answer with it.

    Its parent ends it gently and waits. Told once more to end while it ends, granian waits for ever and loses the
    requests at work; so a Ctrl-C, or a second one, does not reach it, and no gentle signal when its parent is killed.
    """
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL)
    return application


def _allow_connections() -> None:
    """Take the leave the system gives: many start programs with 1,024 open files and allow far more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
