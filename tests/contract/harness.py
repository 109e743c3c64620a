# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one task in this process, by either way in, against whatever answers its HTTP requests."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from ansible.errors import AnsibleError
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from requests.adapters import BaseAdapter

from ansible_collections.borgfleet.bbs.plugins.module_utils import _client

from .upstream import Answer, Upstream

URL = "http://bbs.test"
ACTIONS = "ansible_collections.borgfleet.bbs.plugins.action"
MODULES = "ansible_collections.borgfleet.bbs.plugins.modules"
# Takes method, path with query, headers and body.
Transport = Callable[[str, str, Mapping[str, str], bytes], Answer]


class TransportAdapter(BaseAdapter):
    """Gives the requests of a session to a function instead of the network."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self.transport = transport

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        answer = self.transport(request.method or "", request.path_url, request.headers, raw)
        response = requests.Response()
        response.status_code = answer.status
        response.headers["Content-Type"] = answer.content_type
        response.raw = io.BytesIO(answer.encoded())
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        """Nothing is open."""


def upstream_transport(server: Upstream) -> Transport:
    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return server.handle(method, path, dict(headers), body)

    return send


class Harness:
    """Runs tasks. ``transport`` may be replaced between them."""

    def __init__(self, way: str, transport: Transport, token: str, patch: pytest.MonkeyPatch) -> None:
        self.way = way
        self.transport = transport
        self.token = token
        self.commands: Callable[[list[str]], tuple[int, str, str]] | None = None
        self._patch = patch
        patch.setattr(_client, "new_session", self._session)
        patch.setattr(_client.ApiClient, "_pause", lambda client, gone: 0.0)
        for variable in ("BBS_URL", "BBS_TOKEN", "BBS_TOKEN_FILE"):
            patch.delenv(variable, raising=False)

    def _session(self, connections: int) -> requests.Session:
        session = requests.Session()
        session.mount(URL, TransportAdapter(self.transport))
        return session

    def __call__(self, module: str, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run a module; the connection options are filled in unless given."""
        args = {"url": URL, "token": self.token, **options}
        args = {name: value for name, value in args.items() if value is not ...}
        run = self._in_worker if self.way == "worker" else self._as_module
        return run(module, args, check)

    def ok(self, module: str, check: bool = False, **options: Any) -> dict[str, Any]:
        result = self(module, check, **options)
        assert not result.get("failed"), result["msg"]
        return result

    def fails(self, module: str, check: bool = False, **options: Any) -> str:
        result = self(module, check, **options)
        assert result.get("failed"), result
        return str(result["msg"])

    def _in_worker(self, module: str, args: dict[str, Any], check: bool) -> dict[str, Any]:
        task = SimpleNamespace(
            action=f"borgfleet.bbs.{module}",
            args=args,
            check_mode=check,
            diff=True,
            delegate_to=None,
            async_val=0,
            no_log=False,
            environment=[],
        )
        shell = SimpleNamespace(tmpdir="unused", env_prefix=lambda **_: "")
        connection = SimpleNamespace(_shell=shell, transport="ssh")
        plugin = importlib.import_module(f"{ACTIONS}.{module}").ActionModule
        action = plugin(task, connection, SimpleNamespace(no_log=False), None, None)
        if self.commands is not None:
            action._run_command = self.commands
        try:
            return json.loads(json.dumps(action.run(task_vars={"inventory_hostname": "web1"})))
        except AnsibleError as error:
            return {"failed": True, "msg": str(error)}

    def _as_module(self, module: str, args: dict[str, Any], check: bool) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        self._patch.setattr(basic.AnsibleModule, "_record_module_result", lambda _, r: results.append(r))
        self._patch.setattr(basic.AnsibleModule, "_log_invocation", lambda _: None)
        if self.commands is not None:
            self._patch.setattr(basic.AnsibleModule, "run_command", lambda _, argv: self.commands(argv))
        # With the controller's half of Ansible in the same process, warnings would go to the terminal.
        warnings: list[str] = []
        self._patch.setattr(basic.AnsibleModule, "warn", lambda _, text: warnings.append(text))
        flags = {"_ansible_check_mode": check, "_ansible_diff": True}
        main = importlib.import_module(f"{MODULES}.{module}").main
        with patch_module_args({**args, **flags}), pytest.raises(SystemExit):
            main()
        said = {"warnings": warnings} if warnings else {}
        return json.loads(json.dumps({**results[-1], **said}, default=str))
