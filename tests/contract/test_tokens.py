# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens: over the API of the bundled server, with its command, and the file that a token is kept in."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness import Harness


@pytest.fixture
def shell(server: Any, fleet: Harness, tmp_path: Path) -> dict[str, Any]:
    """Options that use the server's own command, and commands that really run."""
    config = tmp_path / "server.toml"
    config.write_text(f'directory = "{server.settings.directory}"\n')

    def run(argv: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    fleet.commands = run
    program = "import sys; sys.argv[0] = 'bbs-token'; from bbs_server.commands.bbs_token import main; main()"
    command = [sys.executable, "-c", program]
    return {"url": ..., "token": ..., "command": command, "server_config": str(config)}


def test_returned_once(fleet: Harness) -> None:
    first = fleet.ok("bbs_token", name="deploy")
    assert first["token"].startswith("bbs_tok_")
    again = fleet.ok("bbs_token", name="deploy")
    assert not again["changed"] and again["token"] is None
    assert fleet.ok("bbs_info", token=first["token"])["clients"] == []


def test_dest(fleet: Harness, tmp_path: Path) -> None:
    dest = tmp_path / "token"
    made = fleet.ok("bbs_token", name="deploy", dest=str(dest))
    assert made["token"] is None, "once written to a file it need not be anywhere else"
    assert stat.S_IMODE(dest.stat().st_mode) == 0o600
    assert fleet.ok("bbs_info", token=..., token_file=str(dest))["clients"] == []
    assert not fleet.ok("bbs_token", name="deploy", dest=str(dest))["changed"]
    assert list(tmp_path.glob(".bbs-token-*")) == []


def test_lost_file(fleet: Harness, tmp_path: Path) -> None:
    dest = tmp_path / "token"
    fleet.ok("bbs_token", name="deploy")
    message = fleet.fails("bbs_token", name="deploy", dest=str(dest))
    assert "the server never repeats a token: set rotate to true" in message
    dest.write_bytes(b"\xff no token")
    assert fleet.fails("bbs_token", name="deploy", dest=str(dest)) == message
    assert fleet.ok("bbs_token", name="deploy", dest=str(dest), rotate=True)["changed"]
    assert dest.read_text().startswith("bbs_tok_")


def test_rotate(fleet: Harness) -> None:
    first = fleet.ok("bbs_token", name="deploy", scope="read", expires_at="2090-01-31T00:00:00Z")["token"]
    predicted = fleet.ok("bbs_token", check=True, name="deploy", rotate=True)
    second = fleet.ok("bbs_token", name="deploy", rotate=True)
    assert predicted["changed"] and predicted["diff"] == second["diff"]
    assert second["token"] not in (None, first)
    assert "refuses the token" in fleet.fails("bbs_info", token=first)
    kept = fleet.ok("bbs_token", name="deploy", scope="read", expires_at="2090-01-31 00:00:00")
    assert not kept["changed"], "a new token keeps the rights of the old one"


def test_create_only(fleet: Harness) -> None:
    fleet.ok("bbs_token", name="deploy", scope="read")
    message = fleet.fails("bbs_token", name="deploy", scope="admin")
    assert "scope of an existing token cannot be changed" in message
    assert fleet.ok("bbs_token", name="deploy", scope="admin", rotate=True)["changed"]


def test_absent_removes_the_file(fleet: Harness, tmp_path: Path) -> None:
    dest = tmp_path / "token"
    fleet.ok("bbs_token", name="deploy", dest=str(dest))
    assert fleet.ok("bbs_token", check=True, name="deploy", dest=str(dest), state="absent")["changed"]
    assert dest.exists()
    assert fleet.ok("bbs_token", name="deploy", dest=str(dest), state="absent")["changed"]
    assert not dest.exists()


def test_absent_removes_the_file_of_a_token_that_is_gone(fleet: Harness, tmp_path: Path) -> None:
    dest = tmp_path / "token"
    dest.write_text("bbs_tok_revoked")
    gone: dict[str, Any] = {"name": "deploy", "dest": str(dest), "state": "absent"}
    predicted = fleet.ok("bbs_token", check=True, **gone)
    assert predicted["changed"] and dest.exists()
    made = fleet.ok("bbs_token", **gone)
    assert made["diff"] == predicted["diff"] == {"before": {"dest": str(dest)}, "after": {}}
    assert not dest.exists()
    assert not fleet.ok("bbs_token", **gone)["changed"]


def test_a_file_that_cannot_be_removed(fleet: Harness, tmp_path: Path) -> None:
    fleet.ok("bbs_token", name="deploy")
    message = fleet.fails("bbs_token", name="deploy", dest=str(tmp_path), state="absent")
    assert message == f"The token is revoked, but {tmp_path} cannot be removed: Is a directory."
    assert fleet.fails("bbs_token", name="deploy", dest=str(tmp_path), state="absent") == message
    assert fleet.ok("bbs_token", name="deploy")["changed"]


def test_unwritable(fleet: Harness, tmp_path: Path) -> None:
    message = fleet.fails("bbs_token", name="deploy", dest=str(tmp_path / "gone" / "token"))
    assert message.startswith("Cannot write ")
    assert fleet.ok("bbs_token", name="deploy")["changed"], "no token was made in vain"


def test_token_cannot_replace_itself(fleet: Harness) -> None:
    assert "cannot replace itself" in fleet.fails("bbs_token", name="tests", rotate=True)


@pytest.mark.slow
def test_command(fleet: Harness, shell: dict[str, Any], tmp_path: Path) -> None:
    """The first token of a server: made on its host, used over the API."""
    dest = tmp_path / "token"
    assert fleet.ok("bbs_token", check=True, name="first", dest=str(dest), **shell)["changed"]
    assert not dest.exists()
    for expected in (True, False):
        assert fleet.ok("bbs_token", name="first", dest=str(dest), **shell)["changed"] is expected
    assert fleet.ok("bbs_info", token=..., token_file=str(dest))["clients"] == []
    rotated = fleet.ok("bbs_token", name="first", rotate=True, scope="read", **shell)
    assert rotated["changed"] and rotated["token"].startswith("bbs_tok_")
    for expected in (True, False):
        assert fleet.ok("bbs_token", name="first", state="absent", **shell)["changed"] is expected


def test_command_over_a_terminal(fleet: Harness, shell: dict[str, Any], tmp_path: Path) -> None:
    """SSH connections may make a terminal, and then the command's remarks come with the token."""
    run, dest = fleet.commands, tmp_path / "token"

    def merged(argv: list[str]) -> tuple[int, str, str]:
        code, out, err = run(argv)
        return code, (out + err).replace("\n", "\r\n"), ""

    fleet.commands = merged
    fleet.ok("bbs_token", name="deploy", dest=str(dest), **shell)
    assert re.fullmatch(r"bbs_tok_[0-9a-f]{48}\n", dest.read_text())


def test_command_fails(fleet: Harness, shell: dict[str, Any]) -> None:
    message = fleet.fails("bbs_token", name="x", **{**shell, "server_config": "/nowhere/server.toml"})
    assert "list failed: " in message
    message = fleet.fails("bbs_token", name="x", scope="root", **shell)
    assert "create failed: Error: Invalid value for '--scope': 'root' is not one of 'read'" in message
    fleet.commands = lambda argv: (127, "", "not found")
    message = fleet.fails("bbs_token", name="x", url=..., token=...)
    assert message.startswith("There is no command bbs-token on this host.")


def test_command_cannot_set_an_expiry(fleet: Harness, shell: dict[str, Any]) -> None:
    message = fleet.fails("bbs_token", name="x", expires_at="2090-01-01", **shell)
    assert "expires_at needs url and token" in message


def test_a_token_that_could_not_be_written_does_not_stay(fleet: Harness, tmp_path: Path) -> None:
    message = fleet.fails("bbs_token", name="deploy", dest=str(tmp_path / "nowhere" / "token"))
    assert "Cannot write" in message
    dest = tmp_path / "token"
    assert fleet.ok("bbs_token", name="deploy", dest=str(dest))["changed"]


def test_nor_one_that_the_command_made(fleet: Harness, shell: dict[str, Any], tmp_path: Path) -> None:
    fleet.fails("bbs_token", name="deploy", dest=str(tmp_path / "nowhere" / "token"), **shell)
    dest = tmp_path / "token"
    assert fleet.ok("bbs_token", name="deploy", dest=str(dest), **shell)["changed"]


class UpstreamCommand:
    """Upstream's bbs-token, as admin-api.md §2.4 describes what it prints and how it exits."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, argv: list[str]) -> tuple[int, str, str]:
        _, verb, *rest = argv
        row = "{:<30} {:<15} {:<20} {:<20}\n"
        if verb == "list":
            rows = [row.format(name, "admin", "2026-11-23 09:13:55", "never") for name in self.names]
            head = row.format("NAME", "USER", "CREATED", "LAST USED") + "-" * 88 + "\n"
            return (0, head + "".join(rows), "") if rows else (0, "No API tokens found.\n", "")
        name = rest[-1]
        if verb == "create" and name not in self.names:
            self.names.append(name)
            return 0, f"bbs_tok_{len(self.names):048x}\n", "Token created.\nStore it now.\n"
        if verb == "revoke" and name in self.names:
            self.names.remove(name)
            return 0, "Token revoked.\n", ""
        return 1, "", "Error\n"


@pytest.mark.parametrize("name", ["first", "first and more", "a name of more than thirty characters"])
def test_upstreams_command(fleet: Harness, name: str, tmp_path: Path) -> None:
    command = fleet.commands = UpstreamCommand()
    task = {"url": ..., "token": ..., "name": name, "dest": str(tmp_path / "token")}
    command.names.append(f"{name} or not")
    for expected in (True, False):
        assert fleet.ok("bbs_token", **task)["changed"] is expected
    assert (tmp_path / "token").read_text() == f"bbs_tok_{2:048x}\n"
    assert fleet.ok("bbs_token", **task, rotate=True)["changed"]
    for expected in (True, False):
        assert fleet.ok("bbs_token", **task, state="absent")["changed"] is expected
    assert command.names == [f"{name} or not"]
