# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands on the server's own machine (admin-api.md §2.4)."""

from __future__ import annotations

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bbs_server import cli, db
from bbs_server.commands import bbs_token, shared
from bbs_server.initialise import initialise
from bbs_server.secrets import key_file
from bbs_server.settings import Settings

from .conftest import Server


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "server" / "bbs-server.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    return file


def run(command: Any, config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env={"BBS_SERVER_CONFIG": str(config)})


def token(config: Path, *arguments: str) -> Result:
    return run(bbs_token.cli, config, *arguments)


@pytest.fixture
def ready(config: Path) -> Path:
    initialise(Settings.load(config))
    return config


def test_init_creates_once(config: Path) -> None:
    first = run(cli.cli, config, "init")
    keys = (config.parent / "secret.keys").read_bytes()
    second = run(cli.cli, config, "init")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "created: key file" in first.stdout
    assert second.stdout == "unchanged\n"
    assert (config.parent / "secret.keys").read_bytes() == keys


def test_token_prints_nothing_but_the_token(ready: Path) -> None:
    made = token(ready, "create", "--name", "ansible")

    assert made.exit_code == 0
    assert re.fullmatch(r"bbs_tok_[0-9a-f]{48}\n", made.stdout)
    assert len(made.stderr.splitlines()) == 2
    assert made.stdout.strip() not in made.stderr


def test_token_list_has_upstreams_columns(ready: Path) -> None:
    assert token(ready, "list").stdout == "No tokens.\n"
    token(ready, "create", "--name", "ansible")

    header, dashes, row = token(ready, "list").stdout.splitlines()
    assert header == f"{'NAME':<30} {'USER':<15} {'CREATED':<20} {'LAST USED':<20}"
    assert dashes == f"{'-' * 30} {'-' * 15} {'-' * 20} {'-' * 20}"
    assert re.fullmatch(r"ansible {24}admin {11}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  never +", row)


def test_token_names_are_unique_and_revoked_by_name(ready: Path) -> None:
    token(ready, "create", "--name", "ansible")

    assert isinstance(token(ready, "create", "--name", "ansible").exception, shared.EXPECTED)
    assert token(ready, "revoke", "ansible").stdout == 'Token "ansible" revoked.\n'
    assert isinstance(token(ready, "revoke", "ansible").exception, shared.EXPECTED)


def test_token_without_a_command_shows_its_usage_and_succeeds(config: Path) -> None:
    shown = token(config)
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout


def test_an_expected_failure_is_one_sentence(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bbs-token", "--config", str(ready), "revoke", "nobody"])
    with pytest.raises(SystemExit) as ended:
        bbs_token.main()

    assert ended.value.code == 1
    assert capsys.readouterr().err == 'bbs-token: There is no token named "nobody".\n'


@pytest.mark.parametrize("command", ["run", "start", "web", "worker", "doctor"])
def test_a_server_that_was_not_initialised_says_so(config: Path, command: str) -> None:
    refused = run(cli.cli, config, command)
    assert "run 'bbs-server init' first" in str(refused.exception)


def test_a_newer_database_is_refused(ready: Path) -> None:
    settings = Settings.load(ready)
    with db.opened(settings.database) as database, database.connection_context():
        database.execute_sql("INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2030-01-01')")

    assert "newer version (it has 9999_future)" in str(run(cli.cli, ready, "migrate").exception)


def test_a_taken_port_is_told(ready: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ready.write_text(f"listen_port = {port}\n")
        refused = run(cli.cli, ready, "run")

    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in str(refused.exception)


def test_a_port_that_answers_is_not_taken_for_the_server_that_was_started(ready: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        ready.write_text(f"listen_port = {other.server_port}\n")
        refused = run(cli.cli, ready, "start")
        other.shutdown()

    assert f"Cannot listen on 127.0.0.1:{other.server_port}: Address already in use." in str(refused.exception)


def test_lost_keys_are_missed(server: Server, client: dict[str, Any]) -> None:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text("")
    keys = server.run.settings.key_file
    keys.rename(keys.with_name("lost"))

    assert f"The key file {keys} is gone" in str(run(cli.cli, config, "init").exception)
    assert not keys.exists()
    key_file.create(keys)
    found = run(cli.cli, config, "doctor")
    assert (found.exit_code, f"problem  2 stored secret(s) do not open with {keys}." in found.stdout) == (1, True)
    keys.with_name("lost").replace(keys)
    assert "do not open" not in run(cli.cli, config, "doctor").stdout
    assert run(cli.cli, config, "init").exit_code == 0


def test_doctor_finds_what_is_missing(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text("")
    (server.run.settings.storage / str(client["id"]) / "main").rename(server.run.settings.directory / "gone")
    (server.run.settings.storage / "77").mkdir()
    (server.run.settings.ssh_directory / "authorized_keys").write_text("")

    found = run(cli.cli, config, "doctor")

    assert found.exit_code == 1
    assert "The repository main (id 1) is missing" in found.stdout
    assert "belongs to no client" in found.stdout
    assert "lets in 0 client(s) of 1" in found.stdout


def test_doctor_repairs_what_can_be_repaired_without_a_loss(server: Server, client: dict[str, Any]) -> None:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text("")
    second = server.post("/clients", {"name": "web02"})
    home = server.run.settings.storage
    (home / str(second["id"])).rmdir()
    (home / "77" / "main").mkdir(parents=True)
    (home / "78").mkdir()
    (server.run.settings.ssh_directory / "authorized_keys").write_text("")

    found = run(cli.cli, config, "doctor", "--repair")

    repaired = [line for line in found.stdout.splitlines() if line.startswith("repaired")]
    assert len(repaired) == 4
    assert sorted(path.name for path in home.glob("[0-9]*")) == [str(client["id"]), str(second["id"])]
    (orphan,) = (home / ".orphans").iterdir()
    assert (orphan / "main").is_dir()
    assert "lets in all 2 client(s)" in found.stdout
    assert "belongs to no client:" not in found.stdout
    told = [entry["message"] for entry in server.get("/log?level=warning")["log"]]
    assert sorted(f"repaired  {sentence}" for sentence in told) == sorted(repaired)


def test_status_and_stop_without_a_server(ready: Path) -> None:
    assert run(cli.cli, ready, "status").exit_code == 3
    assert run(cli.cli, ready, "stop").stdout == "unchanged: not running\n"


@pytest.mark.parametrize("command", [cli.cli, bbs_token.cli])
def test_help_tells_every_command_where_no_server_is(command: Any, tmp_path: Path) -> None:
    def look(group: Any, *words: str) -> None:
        shown = run(command, tmp_path / "nowhere.toml", *words, "--help")
        assert shown.exit_code == 0, (words, shown.exception)
        for name, sub in getattr(group, "commands", {}).items():
            assert name in shown.stdout
            assert sub.help
            look(sub, *words, name)

    look(command)


def test_a_scope_is_one_of_those_that_help_tells(ready: Path) -> None:
    refused = token(ready, "create", "--name", "x", "--scope", "root")
    assert refused.exit_code == 2
    assert "'read', 'provision', 'admin', 'metrics'" in refused.stderr
    assert token(ready, "create", "--name", "x", "--scope", "metrics").exit_code == 0
