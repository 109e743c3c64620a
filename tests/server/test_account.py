# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands act as the account that owns the server's data (admin-api.md §2.4)."""

from __future__ import annotations

import os
import pwd
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bbs_server.account import AccountError
from bbs_server.commands import bbs_token

from .conftest import Server

NOBODY = "nobody"

SYSTEM_PYTHON = "/usr/bin/python3"
"""Unlike the one of a user's home, every account can read it."""

LIBRARIES = os.pathsep.join([sysconfig.get_path("purelib"), str(Path(__file__).parents[2] / "server")])


def nobody_can_run_it() -> bool:
    """Whether another account reaches an interpreter and the libraries."""
    if os.geteuid() != 0 or not Path(SYSTEM_PYTHON).exists():
        return False
    command = [SYSTEM_PYTHON, "-c", "import bbs_server.cli"]
    return subprocess.run(command, env={"PYTHONPATH": LIBRARIES}, user=NOBODY, check=False).returncode == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_another_account_is_told_the_right_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    refused = CliRunner().invoke(bbs_token.cli, ["--config", str(config), "list"])

    assert isinstance(refused.exception, AccountError)
    assert f"belongs to {pwd.getpwuid(os.getuid()).pw_name}" in str(refused.exception)
    assert "sudo -u" in str(refused.exception)


def test_root_goes_on_as_the_owner_and_leaves_no_file_of_its_own(open_folder: Path) -> None:
    """A database file of root's beside the server's would keep the server from writing."""
    if not nobody_can_run_it():
        pytest.skip("needs root, and an interpreter that other accounts can read")
    nobody = pwd.getpwnam(NOBODY)
    home = open_folder / "server"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    config = open_folder / "bbs-server.toml"
    config.write_text(f'directory = "{home}"\n')

    def run(module: str, *arguments: str) -> str:
        program = f"import sys; from bbs_server.{module} import main; sys.argv[1:] = {arguments!r}; main()"
        environment = os.environ | {"PYTHONPATH": LIBRARIES, "BBS_SERVER_CONFIG": str(config)}
        done = subprocess.run(
            [SYSTEM_PYTHON, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "created: key file" in run("cli", "init")
    assert run("commands.bbs_token", "create", "--name", "n").startswith("bbs_tok_")
    assert [path for path in home.rglob("*") if path.stat().st_uid != nobody.pw_uid] == []
