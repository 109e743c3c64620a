# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dry-run form of every write: ``?dry_run=1`` tells which fields would change, never a value.

The request is carried out in a transaction that is undone, with a runtime that leaves everything
outside the database alone (:meth:`Runtime.act`). So what is told is what would happen, errors too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from flask import Response, current_app, g, jsonify, request
from werkzeug.exceptions import HTTPException

from bbs_server.errors import ApiError, Invalid
from bbs_server.runtime import REHEARSAL, Runtime, runtime
from bbs_server.secrets import NotingKeyring, Sealed, sealed

PARAMETER = "dry_run"
FEATURE = "dry_run"
"""How ``/auth/discover`` announces it."""

_ON_THE_WIRE = {"private_key": "ssh_private_key"}

_YES, _NO = ("1", "true", "yes"), ("0", "false", "no", "")


def asked() -> bool:
    """Whether the current request is a write that is not to happen.

    :raises Invalid: the parameter is neither true nor false.
    """
    given = request.args.get(PARAMETER, "").lower()
    if given not in (*_YES, *_NO):
        raise Invalid(f"{PARAMETER}: must be true or false.")
    return given in _YES and request.method not in ("GET", "HEAD")


def rehearse(view: Callable[..., Any], arguments: dict[str, Any]) -> Response:
    """Carry out a request and undo it.

    :param view: the route behind its guard.
    :return: ``{"changed": bool, "fields": [name, …]}``; a secret in ``config`` is ``config.<option>``.
    :raises ApiError: what the request itself would raise.
    """
    run = runtime().rehearsal()
    setattr(g, REHEARSAL, run)
    with run.writing() as transaction:
        before = _object()
        reply = current_app.make_response(view(**arguments))
        after = _object()
        transaction.rollback()
    if reply.status_code in (201, 202) or request.method == "DELETE" or before is None or after is None:
        return jsonify({"changed": True, "fields": _given(view)})
    fields = sorted(_different(before, after) | _different_secrets(run))
    # An action that queues a job leaves its plan or repository as it was, but changes the queue.
    queues_job = "job_id" in (reply.get_json(silent=True) or {})
    return jsonify({"changed": bool(fields) or queues_job, "fields": fields})


def _object() -> dict[str, Any] | None:
    """What a GET shows of the request's object: at its own path, or at that of the object it is an action of."""
    for path in (request.path, request.path.rsplit("/", 1)[0]):
        try:
            endpoint, arguments = current_app.url_map.bind("").match(path, "GET")
            get: Any = current_app.view_functions[endpoint]
            shown = current_app.make_response(get(**arguments)).get_json()
        except (ApiError, HTTPException):
            continue
        if isinstance(shown, dict):
            return shown
    return None


def _different(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= _different(old, new, f"{prefix}{name}.")
        elif old != new:
            found.add(f"{prefix}{name}")
    return found


def _different_secrets(run: Runtime) -> set[str]:
    """The secrets that were sealed in the rehearsal and are not what is stored."""
    keyring = cast(NotingKeyring, run.keyring)
    return {_ON_THE_WIRE.get(note.column, note.column) for note in keyring.noted if _stored(run, note) != note.text}


def _stored(run: Runtime, note: Sealed) -> str | None:
    model = sealed.table_named(note.table)
    row = model.get_or_none(model.id == note.row)
    text = sealed.values(row).get(note.column) if row else None
    return run.keyring.open(text, table=note.table, column=note.column, row=note.row) if text else None


def _given(view: Callable[..., Any]) -> list[str]:
    """The fields of the body that the route knows."""
    body = request.get_json(silent=True)
    parameters = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
    known = {name for parameter in parameters if parameter["in"] == "json" for name in parameter["schema"].fields}
    return sorted(known & set(body)) if isinstance(body, dict) else []
