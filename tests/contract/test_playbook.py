# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ``ansible-playbook`` runs: the action plugin, its fallback, and what reaches the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .upstream import NEW, Upstream

CANARY_PASSWORD = "canary-password-1"
CANARY_TOKEN = f"bbs_tok_{0xCA4A7:048x}"
CANARY_PASSPHRASE = "canary-passphrase-3"
CANARIES = (CANARY_PASSWORD, CANARY_TOKEN, CANARY_PASSPHRASE)

PLAYBOOK = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/borgfleet.bbs.bbs:
      url: "{url}"
      token: "{{{{ bbs_token }}}}"
  tasks:
    - borgfleet.bbs.bbs_client:
        name: "{{{{ inventory_hostname }}}}"
      {delegate}
    - borgfleet.bbs.bbs_repository:
        client: "{{{{ inventory_hostname }}}}"
        name: main
        passphrase: "{{{{ repository_passphrase }}}}"
      {delegate}
    - borgfleet.bbs.bbs_plugin_config:
        client: "{{{{ inventory_hostname }}}}"
        plugin: mysql_dump
        name: db
        config:
          user: backup
          password: "{{{{ database_password }}}}"
      {delegate}
    - borgfleet.bbs.bbs_plan:
        client: "{{{{ inventory_hostname }}}}"
        name: daily
        repository: main
        directories: [/etc]
        plugin_configs: [db]
      {delegate}
"""


# A connection that is not the local one, and reaches this machine all the same.
CONNECTION = """
from ansible.plugins.connection.local import Connection as Local
DOCUMENTATION = "name: elsewhere\\nshort_description: here\\ndescription: here"

class Connection(Local):
    transport = "elsewhere"
"""


@pytest.fixture
def upstream() -> Upstream:
    return Upstream(NEW, token=CANARY_TOKEN)


@pytest.fixture
def url(upstream: Upstream) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = upstream.handle(self.command, self.path, dict(self.headers), body)
            content = reply.encoded()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Playbook:
    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url

    def write(self, text: str = PLAYBOOK, delegate: str = "") -> None:
        (self.directory / "play.yml").write_text(text.format(url=self.url, delegate=delegate))
        # Not in the playbook itself: Ansible quotes the lines around a failed task.
        variables = self.directory / "group_vars" / "all.yml"
        variables.parent.mkdir(exist_ok=True)
        variables.write_text(
            f"bbs_token: {CANARY_TOKEN}\n"
            f"repository_passphrase: {CANARY_PASSPHRASE}\n"
            f"database_password: {CANARY_PASSWORD}\n"
        )
        # Nothing listens there: a task that connected to its host would fail.
        (self.directory / "hosts").write_text(
            "web1 ansible_host=192.0.2.1 ansible_connection=ssh ansible_timeout=2\n"
            f"elsewhere ansible_connection=elsewhere ansible_python_interpreter={sys.executable}\n"
        )
        plugins = self.directory / "connection_plugins"
        plugins.mkdir(exist_ok=True)
        (plugins / "elsewhere.py").write_text(CONNECTION)

    def run(self, *arguments: str, **environment: str) -> str:
        command = [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            "hosts",
            "play.yml",
            "-l",
            "web1",
            *arguments,
        ]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture
def playbook(tmp_path: Path, url: str) -> Playbook:
    return Playbook(tmp_path, url)


def test_twice(playbook: Playbook, upstream: Upstream) -> None:
    """Tasks of an unreachable host run in the worker; the second run changes nothing; no secret shows."""
    playbook.write()
    first = playbook.run("-vvv", "--diff")
    assert "ok=4" in first and "changed=4" in first, first
    second = playbook.run("-vvv", "--diff")
    assert "ok=4" in second and "changed=0" in second, second
    for canary in CANARIES:
        assert canary not in first + second


def test_check_mode_sends_nothing(playbook: Playbook, upstream: Upstream) -> None:
    playbook.write()
    output = playbook.run("--check", "--diff", "-vvv")
    assert "ok=4" in output and "changed=4" in output, output
    assert "There is no client named web1" in output
    assert not upstream.writes()
    for canary in CANARIES:
        assert canary not in output


@pytest.mark.slow
def test_delegated(playbook: Playbook, upstream: Upstream) -> None:
    """On another host the ordinary module runs, with the same result, defaults and discretion."""
    playbook.write(delegate="delegate_to: elsewhere")
    first = playbook.run("-vvv", "--diff")
    assert "ok=4" in first and "changed=4" in first, first
    assert "AnsiballZ_bbs_client.py" in first
    second = playbook.run("-vvv", "--diff")
    assert "ok=4" in second and "changed=0" in second, second
    checked = playbook.run("-vvv", "--check")
    assert "changed=0" in checked
    for canary in CANARIES:
        assert canary not in first + second


def test_first_token(playbook: Playbook, tmp_path: Path) -> None:
    """The command runs where the task is delegated to, the token ends up here, and nowhere on the terminal."""
    command = tmp_path / "some where" / "bbs-token"
    command.parent.mkdir()
    seen = tmp_path / "seen"
    command.write_text(
        f'#!/bin/sh\n[ "$1" = list ] && exit\necho $BBS_SERVER_CONFIG $EXTRA >{seen}\necho {CANARY_TOKEN}\n'
    )
    command.chmod(0o755)
    text = f"""
- hosts: all
  gather_facts: false
  environment:
    EXTRA: extra
  tasks:
    - borgfleet.bbs.bbs_token:
        name: first token
        command: "{command}"
        server_config: /etc/bbs.toml
        dest: "{tmp_path}/token"
      {{delegate}}
"""
    playbook.write(text, "delegate_to: elsewhere")
    output = playbook.run("-vvv", "--diff")
    assert "changed=1" in output, output
    assert (tmp_path / "token").read_text() == f"{CANARY_TOKEN}\n"
    assert seen.read_text() == "/etc/bbs.toml extra\n"
    assert CANARY_TOKEN not in output


@pytest.mark.parametrize("delegate", ["", "delegate_to: elsewhere", "delegate_to: localhost"])
def test_environment(playbook: Playbook, upstream: Upstream, delegate: str) -> None:
    """The task's ``environment`` reaches the fallbacks of the connection options by both ways in."""
    text = """
- hosts: all
  gather_facts: false
  environment:
    BBS_URL: "{url}"
    BBS_TOKEN: "{{{{ bbs_token }}}}"
  tasks:
    - borgfleet.bbs.bbs_client:
        name: web1
      {delegate}
"""
    playbook.write(text, delegate)
    output = playbook.run()
    assert "changed=1" in output, output
    assert [client["name"] for client in upstream.clients] == ["web1"]


@pytest.mark.parametrize("delegate", ["", "delegate_to: elsewhere"])
def test_failure_prints_no_secret(playbook: Playbook, upstream: Upstream, delegate: str) -> None:
    playbook.write(delegate=delegate)
    upstream.token = "bbs_tok_another"
    output = playbook.run("-vvv", "--diff")
    assert "refuses the token" in output
    for canary in CANARIES:
        assert canary not in output


def test_https_where_only_http_is_spoken(playbook: Playbook) -> None:
    playbook.url = playbook.url.replace("http:", "https:")
    playbook.write()
    assert "does not speak TLS: does url have to begin with http://?" in playbook.run()


PLACES = """
- hosts: all
  gather_facts: false
  environment:
    BBS_URL: "{url}"
  vars:
    nested: {{credential_source: custom, bucket: b, secret_key: "{{{{ database_password }}}}"}}
  tasks:
    - borgfleet.bbs.bbs_client: {{name: web1, token: "{{{{ bbs_token }}}}"}}
      register: from_vars
      {delegate}
    - borgfleet.bbs.bbs_client: {{name: web1}}
      environment:
        BBS_TOKEN: "{{{{ bbs_token }}}}"
      register: from_environment
      {delegate}
    - borgfleet.bbs.bbs_client: {{name: web1, token_file: "{{{{ playbook_dir }}}}/token"}}
      register: from_file
      {delegate}
    - borgfleet.bbs.bbs_repository: {{client: web1, name: inline, passphrase: canary-passphrase-3, token: {token}}}
      register: inline
      {delegate}
    - borgfleet.bbs.bbs_plugin_config:
        client: web1
        plugin: s3_sync
        name: nested
        config: "{{{{ nested }}}}"
        token: "{{{{ bbs_token }}}}"
      register: in_a_dictionary
      {delegate}
    - borgfleet.bbs.bbs_plugin_config:
        client: web1
        plugin: mysql_dump
        name: wrong
        config: {{password: "{{{{ database_password }}}}", port: many}}
        token: "{{{{ bbs_token }}}}"
      register: refused
      ignore_errors: true
      {delegate}
    - borgfleet.bbs.bbs_repository:
        client: web1
        name: unreachable
        passphrase: "{{{{ repository_passphrase }}}}"
        token: "{{{{ bbs_token }}}}"
        url: http://127.0.0.1:9
        retries: 0
      register: unreachable
      ignore_errors: true
      {delegate}
    - ansible.builtin.debug:
        msg: "{{{{ [from_vars, from_environment, from_file, inline, in_a_dictionary, refused, unreachable] }}}}"
"""


@pytest.mark.parametrize("delegate", ["", "delegate_to: elsewhere"])
def test_secrets_in_every_place(playbook: Playbook, upstream: Upstream, delegate: str) -> None:
    """Task, vars, environment, file, nested config; success, refusal, no server; and what was registered, printed."""
    playbook.write(PLACES.replace("{token}", CANARY_TOKEN), delegate)
    (playbook.directory / "token").write_text(CANARY_TOKEN)
    output = playbook.run("-vvv", "--diff")
    assert "changed=3" in output and "ignored=2" in output and "failed=0" in output, output
    assert "config.port: must be a number" in output and "connection refused" in output
    assert [row["passphrase"] for row in upstream.repositories] == [CANARY_PASSPHRASE]
    assert upstream.configs[0]["config"]["secret_key"] == CANARY_PASSWORD
    for canary in CANARIES:
        assert canary not in output


FLEET = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/borgfleet.bbs.bbs:
      url: "{url}"
      token: "{{{{ bbs_token }}}}"
  vars:
    backup: &backup
      name: web1
      repositories: [{{name: main, passphrase: "{{{{ repository_passphrase }}}}"}}]
      plugin_configs:
        - {{plugin: mysql_dump, name: db, config: {{user: backup, password: "{{{{ database_password }}}}"}}}}
      plans: [{{name: daily, repository: main, directories: [/etc], plugin_configs: [db]}}]
    refused: {{name: web2, plugin_configs: [{{plugin: mysql_dump, name: db, config: {{
      password: "{{{{ database_password }}}}", port: many}}}}]}}
  tasks:
    - borgfleet.bbs.bbs_fleet: {{hosts: ["{{{{ backup }}}}"]}}
      register: fleet
      {delegate}
    - borgfleet.bbs.bbs_fleet: {{hosts: ["{{{{ backup }}}}", "{{{{ refused }}}}"]}}
      register: one_refused
      ignore_errors: true
      {delegate}
    - borgfleet.bbs.bbs_fleet: {{hosts: ["{{{{ backup | combine({{'repositroies': backup.repositories}}) }}}}"]}}
      register: misspelt
      ignore_errors: true
      {delegate}
    - borgfleet.bbs.bbs_fleet: {{hosts: ["{{{{ backup }}}}"], url: "http://127.0.0.1:9", retries: 0}}
      register: unreachable
      ignore_errors: true
      {delegate}
    - ansible.builtin.debug:
        msg: "{{{{ [fleet, one_refused, misspelt, unreachable] }}}}"
"""


@pytest.mark.parametrize("delegate", ["", "delegate_to: elsewhere"])
def test_a_fleet_in_one_task(playbook: Playbook, upstream: Upstream, delegate: str) -> None:
    """Predicted, made, kept; refused and unreachable; and no secret of any host shows."""
    playbook.write(FLEET, delegate)
    predicted = playbook.run("-vvv", "--diff", "--check")
    assert "changed=2" in predicted and not upstream.writes(), predicted
    first = playbook.run("-vvv", "--diff")
    assert "ignored=3" in first and "failed=0" in first, first
    for reason in ("config.port: must be a number", "unsupported options: repositroies", "connection refused"):
        assert reason in first
    assert ("AnsiballZ_bbs_fleet.py" in first) is bool(delegate)
    assert [row["passphrase"] for row in upstream.repositories] == [CANARY_PASSPHRASE]
    assert [row["config"]["password"] for row in upstream.configs] == [CANARY_PASSWORD]
    second = playbook.run("-vvv", "--diff")
    assert "changed=0" in second, second
    for canary in CANARIES:
        assert canary not in predicted + first + second
