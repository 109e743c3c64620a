# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The web application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_smorest import Api

from bbs_server import __version__, agent_api, api, errors
from bbs_server.api import documentation, http, server
from bbs_server.runtime import EXTENSION, Runtime
from bbs_server.settings import Settings

LARGEST_BODY_BYTES = 8 * 1024 * 1024


def create_app(settings: Settings, **replaced: Any) -> Flask:
    """Build the application.

    :param replaced: parts of the :class:`Runtime` to use instead of the real ones, such as ``clock``.
    :raises DatabaseError: the database cannot be used.
    :raises SecretError: no usable key file: no key, no start.
    """
    return build(Runtime.open(settings, **replaced))


def build(run: Runtime) -> Flask:
    """Build the application around a runtime."""
    app = Flask("bbs_server", static_folder=None)
    app.config.update(
        API_TITLE="Borg Backup Server",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        MAX_CONTENT_LENGTH=LARGEST_BODY_BYTES,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.extensions[EXTENSION] = run
    http.install(app)
    smorest = Api(app)
    errors.register(app)
    api.register(smorest)
    agent_api.register(smorest)
    server.register_liveness(app)
    documentation.register(app)
    _connect_per_request(app, run)
    return app


def _connect_per_request(app: Flask, run: Runtime) -> None:
    @app.before_request
    def connect() -> None:
        run.database.connect(reuse_if_open=True)

    @app.teardown_request
    def close(_: BaseException | None) -> None:
        if not run.database.is_closed():
            run.database.close()
