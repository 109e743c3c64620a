# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OpenAPI document: what the schemas and routes say, completed with credentials and errors.

``python -m bbs_server.openapi`` prints it; ``docs/openapi.json`` is that output.
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask

from bbs_server import dry_run

JSON = "application/json"

INTRODUCTION = """\
Send the header `Authorization: Bearer <token>`. Bodies are JSON objects; fields that are unknown are ignored.
Times are `YYYY-MM-DD HH:MM:SS` in UTC.

Every error is JSON with the key `error`, a sentence for people; some have more keys, such as `reason`. Besides the
errors named at each operation there are 404 for an unknown path, 405 for a method that a path does not know, and 503
while the database is away or too busy, with the header `Retry-After` in seconds."""

ERRORS: dict[int, str] = {
    400: "The request is wrong; the sentence names the field.",
    401: "No credentials, or unknown, expired or revoked ones.",
    403: "The credentials do not allow this.",
    404: "No such object, or not for these credentials.",
    409: "The request clashes with what exists.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "A field has a value that cannot be used.",
    429: "Too many failed attempts with bad credentials from this address.",
    500: "The server could not do it; the sentence tells the reason.",
}

UNPROCESSABLE = frozenset({"storage", "remote_ssh_configs"})
"""Tags whose writes answer 422 for what elsewhere is 400 (admin-api.md §5.7, §5.8)."""

NEEDS_STORAGE = frozenset({"create_repository", "get_capacity"})
"""Operations that end with 500 and a reason when borg or the disk refuses."""

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "reason": {"type": "string"}},
}


DRY_RUN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["changed", "fields"],
    "properties": {"changed": {"type": "boolean"}, "fields": {"type": "array", "items": {"type": "string"}}},
}

DRY_RUN_PARAMETER: dict[str, Any] = {
    "in": "query",
    "name": dry_run.PARAMETER,
    "required": False,
    "description": "Only tell which fields would change.",
    "schema": {"type": "boolean"},
}


def document(app: Flask) -> dict[str, Any]:
    """The document of an application."""
    smorest = app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    found: dict[str, Any] = copy.deepcopy(smorest.spec.to_dict())
    found["info"]["description"] = INTRODUCTION
    components = found["components"]
    components.pop("responses", None)
    components["schemas"].pop("PaginationMetadata", None)
    components["schemas"] |= {"Error": ERROR_SCHEMA, "DryRun": DRY_RUN_SCHEMA}
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token."},
        "agent": {"type": "http", "scheme": "bearer", "description": "The key of a client's agent."},
    }
    for operation, path, method, view in _operations(app, found["paths"]):
        _complete(operation, path, method, view)
        _loosen_body(operation, components["schemas"])
    return found


def text(app: Flask) -> str:
    """The document as it is checked in."""
    return json.dumps(document(app), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Print the document. It is the same for every installation, so an empty one serves."""
    from bbs_server.app import create_app
    from bbs_server.initialise import initialise
    from bbs_server.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(directory=Path(folder))
        initialise(settings)
        print(text(create_app(settings)), end="")


def _operations(app: Flask, paths: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str, Any]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in ("get", "post", "put", "delete"):
            if method.upper() in (rule.methods or ()) and method in paths.get(path, ()):
                operation = paths[path][method]
                operation["operationId"] = rule.endpoint.rsplit(".", 1)[-1]
                yield operation, path, method, app.view_functions[rule.endpoint]


def _complete(operation: dict[str, Any], path: str, method: str, view: Any) -> None:
    """Add who may call an operation, and how it can end."""
    scope = view.required_scope
    if scope is not None:
        operation["security"] = [{"agent" if scope == "agent" else "token": []}]
        operation["description"] = _credentials(scope, view.any_user)
    answers = operation["responses"]
    answers.pop("default", None)
    if not any(status.startswith("2") for status in answers):
        answers["200"] = _undeclared(operation)
    if method != "get" and scope not in (None, "agent"):
        _rehearsable(operation)
    for status in _errors(operation, path, method, scope):
        answers[str(status)] = _error(status)
    operation["responses"] = dict(sorted(answers.items()))


def _rehearsable(operation: dict[str, Any]) -> None:
    """Every write has a dry-run form; its answer is another one."""
    operation["parameters"] = [*operation.get("parameters", ()), DRY_RUN_PARAMETER]
    told = {"$ref": "#/components/schemas/DryRun"}
    answer = operation["responses"].get("200")
    if answer is None:
        operation["responses"]["200"] = {"description": "Dry run.", "content": {JSON: {"schema": told}}}
    else:
        answer["content"][JSON]["schema"] = {"anyOf": [answer["content"][JSON]["schema"], told]}


def _credentials(scope: str, any_user: bool) -> str:
    if scope == "agent":
        return "Needs the key of a client's agent."
    users = "other users see only their own clients" if any_user else "of an administrator"
    return f"Needs a token with the scope `{scope}`{'; ' if any_user else ', '}{users}."


def _errors(operation: dict[str, Any], path: str, method: str, scope: str | None) -> Iterator[int]:
    takes_body, writes, tags = "requestBody" in operation, method != "get", set(operation["tags"])
    if takes_body or operation.get("parameters") or scope not in (None, "agent"):
        yield 400
    if scope is not None:
        yield from (401, 429)
    if scope not in (None, "agent"):
        yield 403
    if "{" in path or tags & {"downloads", "agent"}:
        yield 404
    if writes and scope != "agent":
        yield 409
    if takes_body:
        yield 413
    if writes:
        yield 415
    if takes_body and tags & UNPROCESSABLE:
        yield 422
    if operation["operationId"] in NEEDS_STORAGE:
        yield 500


def _error(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": ERRORS[status],
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if status == 429:
        seconds = {"description": "Seconds until the next attempt.", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": seconds}
    return answer


def _undeclared(operation: dict[str, Any]) -> dict[str, Any]:
    """The answer of routes without a schema for it: files, and what the agent's protocol describes."""
    if "downloads" in operation["tags"]:
        content = {media: {"schema": {"type": "string"}} for media in ("text/plain", "application/octet-stream")}
        return {"description": "The file.", "content": content}
    return {"description": "OK", "content": {JSON: {"schema": {"type": "object"}}}}


def _loosen_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """An empty body counts as an empty object, and unknown fields are ignored."""
    body = operation.get("requestBody")
    if body is None:
        return
    schema = body["content"][JSON]["schema"]
    schema = schemas[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    schema.pop("additionalProperties", None)
    body["required"] = bool(schema.get("required"))


if __name__ == "__main__":
    main()
