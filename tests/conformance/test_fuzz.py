# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every operation of the OpenAPI document with thousands of made-up requests, good and bad.

None ends with an error of the server, each ends as the document says. The requests are the same in every run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from ..server.conftest import Server, make_server

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"

EXAMPLES = 20
"""Requests per operation and kind; more are made with ``BBS_FUZZ_EXAMPLES``."""

FEWER: dict[str, int] = {"create_repository": 3, "create_client": 10}
"""For operations that run borg or make keys."""

load_all_checks()
CHECKED = tuple(
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
)

MAY_FAIL = {"get_health": (503,), "test_plugin_config": (502,)}
"""Operations for which a status of 500 and above is an answer: the server is ill, a tested service does not work."""


def _cases() -> Iterator[Any]:
    """Each operation with good requests, and with bad ones where something can be bad."""
    for path, item in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            name = operation["operationId"]
            yield pytest.param(name, path, method, GenerationMode.POSITIVE, id=f"{name}-good")
            if item.get("parameters") or operation.get("parameters") or operation.get("requestBody"):
                yield pytest.param(name, path, method, GenerationMode.NEGATIVE, id=f"{name}-bad")


class Objects:
    """Objects that exist, so that not every request ends with 404."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made = 0
        self._pages: list[str] = []
        self.ids: dict[str, int] = {}
        self.token = self.key = ""

    def refresh(self) -> None:
        """Make what an operation before has deleted."""
        self.token = self._server.mint(f"fuzz {self._made}")
        self._made += 1
        if not self._pages or any(
            self._server.call("GET", page, token=self.token).status_code != 200 for page in self._pages
        ):
            self._make()

    def _make(self) -> None:
        server, name = self._server, f"fuzz {self._made}"
        client = server.post("/clients", {"name": name}, token=self.token)
        page = f"/clients/{client['id']}"
        repository = server.post(f"{page}/repositories", {"name": "fuzz", "encryption": "none"}, token=self.token)
        body = {"name": name, "repository_id": repository["id"], "directories": "/etc"}
        plan = server.post(f"{page}/plans", body, token=self.token)
        hook = {"plugin": "shell_hook", "name": name, "config": {"pre_script": "/bin/true"}}
        config = server.post(f"{page}/plugin-configs", hook, token=self.token)
        job = server.post(f"{page}/plans/{plan['id']}/trigger", token=self.token)
        self.key = client["api_key"]
        self.ids = {
            "client_id": client["id"],
            "repository_id": repository["id"],
            "plan_id": plan["id"],
            "config_id": config["id"],
            "job_id": job["job_id"],
        }
        self._pages = [
            f"{page}/repositories/{repository['id']}",
            f"{page}/plans/{plan['id']}",
            f"{page}/plugin-configs/{config['id']}",
        ]

    def put_into(self, case: Any) -> None:
        """Name existing objects in three of four requests."""
        numbers = [value for value in (case.path_parameters or {}).values() if isinstance(value, int)]
        if sum(numbers) % 4:
            known = {name: self.ids[name] for name in case.path_parameters if name in self.ids}
            case.path_parameters.update(known)
        if isinstance(case.body, dict) and "repository_id" in case.body and sum(numbers) % 4:
            case.body["repository_id"] = self.ids["repository_id"]
        if isinstance(case.body, dict) and isinstance(case.body.get("job_id"), int):
            case.body["job_id"] = self.ids["job_id"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "ssh").write_text("#!/bin/sh\necho 'no route to host' >&2\nexit 255\n")
    (folder / "ssh").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, make_server(folder) as made:
        patch.setenv("PATH", str(folder), prepend=":")
        yield made


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", server.app)


@pytest.fixture(scope="module")
def objects(server: Server) -> Objects:
    return Objects(server)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "path", "method", "mode"), list(_cases()))
def test_no_request_breaks_the_server(
    api: Any, objects: Objects, name: str, path: str, method: str, mode: GenerationMode
) -> None:
    objects.refresh()
    credentials = {"Authorization": f"Bearer {objects.key if path.startswith('/api/agent') else objects.token}"}
    checks = [check for check in CHECKED if name not in MAY_FAIL or check.__name__ != "not_a_server_error"]

    # No search for a smaller example: it would repeat requests that change the server.
    @settings(
        max_examples=FEWER.get(name, int(os.environ.get("BBS_FUZZ_EXAMPLES", EXAMPLES))),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        objects.put_into(case)
        reply = case.call(headers=credentials)
        case.validate_response(reply, checks=checks)
        assert reply.status_code < 500 or reply.status_code in MAY_FAIL.get(name, ())

    send()
