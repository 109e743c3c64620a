# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles, as far as they can be looked at without hosts of their own; tests/molecule has the rest."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT
from .playbooks import run_playbook

PLAY = """
- hosts: localhost
  gather_subset: [min]
  tasks:
    - ansible.builtin.include_role:
        name: borgfleet.bbs.server
"""
REMOVAL = {"bbs_server_form": "directory", "bbs_server_state": "absent", "bbs_server_remove_data": True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the playbook lies, and the collection."""
    (tmp_path / "collections/ansible_collections/borgfleet").mkdir(parents=True)
    (tmp_path / "collections/ansible_collections/borgfleet/bbs").symlink_to(ROOT)
    (tmp_path / "play.yml").write_text(PLAY)
    return tmp_path


def play(folder: Path, *arguments: str, **variables: object) -> tuple[int, str]:
    collections = str(folder / "collections")
    return run_playbook(folder, *arguments, "-e", json.dumps(variables), ANSIBLE_COLLECTIONS_PATH=collections)


@pytest.mark.slow
def test_data_behind_a_link_is_removed_with_the_link(folder: Path) -> None:
    (folder / "disk/server/repositories/1/main").mkdir(parents=True)
    (folder / "server").symlink_to(folder / "disk/server")
    directory = str(folder / "server")

    code, said = play(folder, bbs_server_directory=directory, **REMOVAL)
    assert (code, "changed=2" in said) == (0, True), said
    assert not (folder / "server").is_symlink()
    assert list((folder / "disk").iterdir()) == []
    code, said = play(folder, bbs_server_directory=directory, **REMOVAL)
    assert (code, "changed=0" in said) == (0, True), said


def test_what_is_not_the_servers_alone_is_not_removed(folder: Path) -> None:
    (folder / "server/backups").mkdir(parents=True)
    (folder / "system").symlink_to("/var")

    backups = str(folder / "server/backups")
    code, said = play(
        folder, bbs_server_directory=str(folder / "server"), bbs_server_backup_directory=backups, **REMOVAL
    )
    assert (code, f"is or holds {backups}. That is not the server's alone" in said) == (2, True), said
    # Only in check mode, for the day on which this fails.
    code, said = play(folder, "--check", bbs_server_directory=str(folder / "system"), **REMOVAL)
    assert (code, "leads to /var, which is or holds /var, /var/backups" in said) == (2, True), said
    code, said = play(folder, "--check", bbs_server_directory="/var/lib/../", bbs_server_form="system")
    assert (code, "/var/lib/../ leads to /var, which is or holds" in said) == (2, True), said


TOLD = """{{ ansible_failed_result.results | default([ansible_failed_result]) | selectattr("failed", "defined")
  | map(attribute="msg") | first }}"""
"""What a task failed with, or one item of its loop."""

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"bbs_server_directory": "data"}, "bbs_server_directory, bbs_server_programs, .*: must be absolute paths"),
    (
        {"bbs_server_programs": "/opt/with blanks"},
        "bbs_server_directory, bbs_server_programs, .*: must be absolute paths",
    ),
    ({"bbs_server_storage_paths": "/srv/a,/srv/b"}, "bbs_server_storage_paths, bbs_server_tls_names: must be lists"),
    ({"bbs_server_user": "root"}, "bbs_server_user: .* not be root"),
    ({"bbs_server_user": "nobody"}, "bbs_server_user: localhost has an account nobody that is not the server's"),
    ({"bbs_server_settings": {"directory": "/srv/x"}}, "bbs_server_settings: directory cannot be set there"),
    ({"bbs_server_tls_names": ["x,IP:192.0.2.1"]}, "bbs_server_tls_names: must be names or addresses"),
    ({"bbs_server_host": ""}, "bbs_server_host: must be a name or an address"),
    ({"bbs_server_tls": "files"}, "With bbs_server_tls set to files, "),
    (
        {"bbs_server_tls": "files", "bbs_server_tls_certificate": "/nope", "bbs_server_tls_key": "/nope"},
        "bbs_server_tls_certificate, bbs_server_tls_key: /nope, /nope is not on the controller",
    ),
    ({"bbs_server_nginx": True, "bbs_server_tls": "none"}, "With bbs_server_nginx, .* cannot be none"),
    (
        {"bbs_server_postgresql": True, "bbs_server_settings": {"database_url": "postgresql://bbs:secret@db/bbs"}},
        "bbs_server_postgresql .* set one of the two",
    ),
    ({"bbs_server_backup_keep": -1}, "bbs_server_backup_keep: must be 0 or more"),
    ({"bbs_server_backup_time": "every night"}, "bbs_server_backup_time: every night is no time"),
    ({"bbs_server_source": "/nope"}, "bbs_server_source: there is no server in /nope"),
    ({"bbs_agent_prefix": "below"}, "bbs_agent_prefix: must be an absolute folder"),
    ({"bbs_agent_ca_src": "/nope", "bbs_agent_ca_file": "/nope"}, "bbs_agent_ca_src .* only one of them"),
    ({"bbs_agent_install_command": "bash --key secret"}, "bbs_agent_install_command: must name --server and --key"),
    ({"bbs_repositories": [{"name": "Main"}, {"name": "main"}]}, "bbs_repositories: .* two of the same name"),
    ({"bbs_plans": [{"name": "daily"}, {"name": "daily"}]}, "bbs_plans: .* two of the same name"),
    (
        {"bbs_plugin_configs": [{"plugin": "pg_dump", "name": "a", "config": {"password": "secret"}}] * 2},
        "bbs_plugin_configs: .* two of the same name among pg_dump/a, pg_dump/a",
    ),
]


def role_of(variables: dict[str, Any]) -> str:
    """The role that a variable's name tells; those of ``backup`` have no prefix of their own."""
    told = next(iter(variables)).split("_")[1]
    return f"borgfleet.bbs.{told if told in ('server', 'agent') else 'backup'}"


@pytest.mark.skipif(os.geteuid() != 0, reason="the role's form system takes root")
def test_what_cannot_work_is_refused_before_anything_is_changed(folder: Path) -> None:
    tasks = [
        {
            "block": [{"ansible.builtin.include_role": {"name": role_of(variables)}, "vars": variables}],
            "rescue": [{"ansible.builtin.debug": {"msg": f"told {TOLD}"}}],
        }
        for variables, _told in WRONG
    ]
    plays = [{"hosts": "localhost", "gather_subset": ["min"], "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(plays))

    code, said = play(folder, "--check", "-vvv")

    assert (code, "changed=0" in said, "secret" in said) == (0, True, False), said
    told = re.findall(r'"msg": "told (.*)"', said)
    assert len(told) == len(WRONG), said
    for message, (_variables, expected) in zip(told, WRONG, strict=True):
        assert re.match(expected, message), message
        assert message.endswith("Nothing was changed.")


@pytest.fixture
def url() -> Iterator[str]:
    """A server that answers everything with 404."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
        server.RequestHandlerClass.do_GET = lambda handler: handler.send_error(404)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("failed", "web ends as often as it is started. Its last words: broken | on purpose\n"),
        ("activating", "web ends as often as it is started. Its last words: broken | on purpose\n"),
        (
            "active",
            "The server does not answer at {url} (HTTP 404 Not Found). Last words of web: broken | on purpose\n",
        ),
    ],
)
def test_nothing_is_waited_for_when_a_service_has_failed(tmp_path: Path, url: str, state: str, told: str) -> None:
    """With stand-ins for systemd; tests/molecule/upgrade has a real one that fails."""
    restarts = f"$(cat {tmp_path}/restarts 2>/dev/null; echo . >>{tmp_path}/restarts)" if state == "activating" else ""
    stand_in(
        tmp_path / "systemctl", f'r="{restarts}"; printf "Id=web\\nActiveState={state}\\nNRestarts=%d\\n" "${{#r}}"'
    )
    stand_in(tmp_path / "journalctl", 'printf "broken\\n\\non purpose\\nbroken\\n"')

    done = subprocess.run(
        [sys.executable, str(ROOT / "roles/server/files/wait.py"), url, "0" if state == "active" else "600", "web"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (1, told.format(url=url))


def stand_in(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
