# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every error a caller can get, and how it becomes ``{"error": "…"}`` (admin-api.md §1)."""

from __future__ import annotations

import logging
from typing import Any

import peewee
import werkzeug.exceptions
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from bbs_server.db.errors import passing

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""When a caller is to come back after a 503."""


class ApiError(Exception):
    """A refusal with an HTTP status.

    :param message: one sentence for a person; names the field, what was wrong, what is allowed.
    :param details: further keys of the JSON body, such as ``reason``.
    """

    status = 500

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.headers: dict[str, str] = {}


class Invalid(ApiError):
    """The request itself is wrong."""

    status = 400


class Unauthorized(ApiError):
    """No credentials, or none the server knows."""

    status = 401


class Forbidden(ApiError):
    """The credentials do not allow this."""

    status = 403


class NotFound(ApiError):
    """No such object, or not for these credentials."""

    status = 404


class Conflict(ApiError):
    """The request clashes with what exists."""

    status = 409


class Unprocessable(ApiError):
    """The request is well-formed, but what it asks for cannot be (newer endpoints, admin-api.md §9)."""

    status = 422


class TooManyFailures(ApiError):
    """Too many failed authentications from one address."""

    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after)}


class Unavailable(ApiError):
    """The server cannot do anything at the moment; the same request will work later."""

    status = 503

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(RETRY_SECONDS)}


class ServerFault(ApiError):
    """The server could not do what it should; the reason is told."""

    status = 500


def register(app: Flask) -> None:
    """Make every error of the application a JSON body."""
    app.register_error_handler(ApiError, _refusal)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(peewee.PeeweeException, _database_error)
    app.register_error_handler(Exception, _crash)


def _refusal(error: ApiError) -> Response:
    response = jsonify({"error": error.message, **error.details})
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    fields = getattr(error, "data", None)
    if status == 422 and fields:
        status, message = 400, describe(fields.get("messages", {}))
    elif status == 400 and fields and "messages" in fields:
        message = describe(fields["messages"])
    elif isinstance(error, MethodNotAllowed):
        message = f"This page does not take {request.method}; it takes {_allowed(error)}."
    elif isinstance(error, werkzeug.exceptions.NotFound):
        message = "There is no such page; GET /api/v1/docs lists those there are."
    else:
        message = error.description or error.name
    response = jsonify({"error": message})
    response.status_code = status
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = _allowed(error)
    return response


def _allowed(error: MethodNotAllowed) -> str:
    return ", ".join(sorted(error.valid_methods or ()))


def _database_error(error: peewee.PeeweeException) -> Response:
    message = passing(error)
    if message is None:
        return _crash(error)
    logger.error("%s (%s)", message, type(error).__name__)
    return _refusal(Unavailable(message))


def _crash(error: Exception) -> Response:
    # The exception's own text may hold values of the request, so only its type and place are logged.
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "unknown place"
    logger.error("Unexpected %s at %s", type(error).__name__, where)
    response = jsonify({"error": "The server failed to handle this request; its log names the place."})
    response.status_code = 500
    return response


def describe(messages: Any, path: str = "") -> str:
    """Turn marshmallow's nested messages into one line: ``times: must be …; prune_days: must be …``."""
    if isinstance(messages, dict):
        parts = [describe(value, _join(path, str(key))) for key, value in messages.items()]
        return "; ".join(part for part in parts if part)
    if isinstance(messages, (list, tuple)):
        return "; ".join(describe(item, path) for item in messages)
    return f"{path}: {messages}" if path else str(messages)


def _join(path: str, key: str) -> str:
    if key in ("json", "query", "_schema"):
        return path
    return f"{path}.{key}" if path else key
