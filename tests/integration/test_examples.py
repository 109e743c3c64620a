# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EXAMPLES of every module, as ansible-playbook runs them: server, agent and archives are real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, LiveServer
from .playbooks import run_playbook

sys.path.insert(0, str(ROOT / "tests" / "unit"))
sys.path.insert(0, str(ROOT / "tests" / "server"))

from collection_path import provide
from remote_host import remote_host

provide()

Tasks = list[dict[str, Any]]

HOST = "web1"
ORDER = (
    "bbs_token", "bbs_client", "bbs_repository", "bbs_plugin_config", "bbs_plan", "bbs_job", "bbs_info", "bbs_fleet",
)  # fmt: skip
DATA = "{{ prefix }}/data"
# What the inventory says of each host, in the example of a whole fleet.
HOST_OF_FLEET = {
    "name": "{{ inventory_hostname }}.fleet",
    "repositories": [{"name": "main", "encryption": "none"}],
    "plans": [{"name": "nightly", "repository": "main", "directories": ["/etc"]}],
}
# What the examples take for granted, before the one of that name.
BEFORE: dict[str, Tasks] = {
    "Give a machine its new name": [{"borgfleet.bbs.bbs_client": {"name": "old.example.com"}, "no_log": True}],
    "Remove a client and everything that it has backed up": [
        {"borgfleet.bbs.bbs_client": {"name": "decommissioned.example.com"}, "no_log": True}
    ],
    "Remove a repository with the plans that write into it": [
        {"borgfleet.bbs.bbs_repository": {"client": HOST, "name": "old", "encryption": "none"}},
        {"borgfleet.bbs.bbs_plan": {"client": HOST, "name": "x", "repository": "old", "directories": "/etc"}},
    ],
    "Have a backup that is at most an hour old before an upgrade": [
        {"ansible.builtin.file": {"path": DATA, "state": "directory", "mode": "0755"}},
        {"ansible.builtin.copy": {"dest": f"{DATA}/file", "content": "precious", "mode": "0644"}},
        {"borgfleet.bbs.bbs_plan": {"client": HOST, "name": "nightly", "directories": DATA, "plugin_configs": []}},
    ],
    "End whatever the plan is doing": [
        {"borgfleet.bbs.bbs_job": {"client": HOST, "plan": "nightly", "wait": False}},
    ],
    "Revoke the token of someone who has left": [{"borgfleet.bbs.bbs_token": {"name": "former-colleague"}}],
}


def examples(module: str) -> Tasks:
    """A module's examples, as they stand in its documentation."""
    path = ROOT / "plugins" / "modules" / f"{module}.py"
    text = path.read_text().split('EXAMPLES = r"""', 1)[1].split('"""', 1)[0]
    tasks: Tasks = yaml.safe_load(text)
    return tasks


def adapted(task: dict[str, Any], url: str) -> dict[str, Any]:
    """The task for this machine: another address, no other account, and the agent under a prefix of its own."""
    found = {key: value for key, value in task.items() if not key.startswith("become")}
    for key, options in found.items():
        if isinstance(options, dict) and "url" in options:
            found[key] = {**options, "url": url}
    if "ansible.builtin.shell" in found:
        command = "{{ client.install_command | replace('sudo bash', 'bash') }} --prefix '{{ prefix }}/agent'"
        assert found["ansible.builtin.shell"] == "{{ client.install_command }}"
        found["ansible.builtin.shell"] = command
    return found


def connected(task: dict[str, Any], url: str) -> dict[str, Any]:
    """A task with the connection that the examples use; they cannot have it by default, the first one must not."""
    connection = {"url": url, "token_file": "~/.config/bbs/token"}
    return {key: {**connection, **value} if key.startswith("borgfleet.bbs.") else value for key, value in task.items()}


def twice(url: str) -> Tasks:
    """Every example; those of our modules that describe a state once more, which must change nothing."""
    tasks: Tasks = []
    for task in (task for module in ORDER for task in examples(module)):
        tasks += [connected(before, url) for before in BEFORE.get(task["name"], [])]
        once = adapted(task, url)
        tasks.append(once)
        if any(key.startswith("borgfleet.bbs.") for key in once):
            tasks.append({**once, "name": f"{task['name']}, again", "register": "again"})
            tasks.append({"ansible.builtin.assert": {"that": ["again is not changed"], "quiet": True}})
    return tasks


@contextmanager
def prepared(server: LiveServer, folder: Path) -> Iterator[None]:
    """A second disk, a storage provider, and the folder for the token."""
    token = server.mint("examples")

    def post(path: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{server.url}/api/v1{path}", json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=60).close()

    (folder / "disk").mkdir()
    (folder / ".config" / "bbs").mkdir(parents=True)
    with remote_host() as host:
        post("/storage", {"label": "Second disk", "path": str(folder / "disk")})
        post("/remote-ssh-configs", host.config(name="storage-provider"))
        yield


def test_every_module_has_examples_here() -> None:
    assert {path.stem for path in (ROOT / "plugins" / "modules").glob("bbs_*.py")} == set(ORDER)


def test_what_is_prepared_is_needed() -> None:
    assert set(BEFORE) <= {task["name"] for module in ORDER for task in examples(module)}


@pytest.mark.slow
def test_twice(live_server: LiveServer, tmp_path: Path) -> None:
    play = {
        "hosts": HOST,
        "gather_facts": False,
        "vars": {
            "prefix": str(tmp_path),
            "vault_repository_passphrase": "a passphrase",
            "vault_mysql_backup_password": "a password",
        },
        "tasks": twice(live_server.url),
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    local = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(yaml.safe_dump({"bbs_host": HOST_OF_FLEET}))
    (tmp_path / "hosts").write_text(f"{HOST} {local}\nbackup.example.com {local}\n")
    programs = Path(sys.executable).parent
    environment = {
        "BBS_SERVER_CONFIG": str(live_server.config),
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    try:
        with prepared(live_server, tmp_path):
            code, said = run_playbook(tmp_path, "-i", "hosts", **environment)
        assert code == 0, said
        assert re.search(r"job \d+: completed", said), "a real agent has made a real archive"
    finally:
        agent = tmp_path / "agent" / "bin" / "bbs-agent"
        if agent.exists():
            subprocess.run([str(agent), "stop"], check=False, capture_output=True)
