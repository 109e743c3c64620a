# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OpenAPI document: current, complete, and readable without anything from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bbs_server import openapi

from .conftest import Server

CHECKED_IN = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"

UNDOCUMENTED = ("/health", "/api/v1/docs", "/api/v1/openapi.json")
"""Pages that are not part of the API."""


@pytest.fixture
def spec(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.http.get("/api/v1/openapi.json").get_json()
    return found


def operations(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, item[method])
        for path, item in spec["paths"].items()
        for method in item
        if method != "parameters"
    ]


def test_the_checked_in_document_is_current(server: Server) -> None:
    assert CHECKED_IN.read_text(encoding="utf-8") == openapi.text(server.app), "run: make openapi"


def test_what_is_served_is_what_is_checked_in(spec: dict[str, Any]) -> None:
    assert spec == json.loads(CHECKED_IN.read_text(encoding="utf-8"))


def test_every_route_is_documented(server: Server, spec: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in server.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in UNDOCUMENTED
    }

    assert {(path, method) for path, method, _ in operations(spec)} == routes


def test_every_operation_has_a_summary_and_a_name_of_its_own(spec: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(spec)]

    assert sorted(set(names)) == sorted(names)
    assert all(operation["summary"] for _, _, operation in operations(spec))


def test_guarded_operations_name_credentials_and_scope(spec: dict[str, Any]) -> None:
    guarded = [operation for _, _, operation in operations(spec) if "security" in operation]

    assert len(guarded) > 30
    for operation in guarded:
        assert {"401", "429"} <= set(operation["responses"])
        assert "scope" in operation["description"] or "agent" in operation["description"]
        if operation["security"] == [{"token": []}]:
            assert "403" in operation["responses"]


def test_errors_have_the_schema_of_errors(spec: dict[str, Any]) -> None:
    own_schema = {("test_plugin_config", "502"), ("get_health", "503")}
    for _, _, operation in operations(spec):
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and (operation["operationId"], status) not in own_schema:
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Error"}, f"{operation['operationId']} {status}"


def test_references_lead_somewhere(spec: dict[str, Any]) -> None:
    for kind, name in re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(spec)):
        assert name in spec["components"][kind]


def test_the_page_shows_every_operation_and_loads_nothing(server: Server, spec: dict[str, Any]) -> None:
    reply = server.http.get("/api/v1/docs")

    assert reply.status_code == 200
    assert reply.content_type.startswith("text/html")
    for _, _, operation in operations(spec):
        assert f'id="{operation["operationId"]}"' in reply.text
    assert not re.search(r"<script|<link|<img|src=|https?://", reply.text)
