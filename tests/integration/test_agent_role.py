# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent role: installs once, tells no secret however much it is asked to tell, and removes what it installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, LiveServer

PLAYBOOK = Path(__file__).parent / "agent-role.yml"


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    """The checkout, where Ansible finds it as a collection."""
    tree = tmp_path / "collections"
    (tree / "ansible_collections" / "borgfleet").mkdir(parents=True)
    (tree / "ansible_collections" / "borgfleet" / "bbs").symlink_to(ROOT)
    return tree


def play(server: LiveServer, collections: Path, token: str, **variables: str) -> str:
    """Everything Ansible says with -vvv."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
        "BBS_TOKEN": token,
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(collections.parent / "ansible"),
        "TMPDIR": str(collections.parent / "temporary"),
    }
    (collections.parent / "temporary").mkdir(exist_ok=True)
    values = json.dumps({"bbs_url": server.url, "prefix": str(collections.parent / "agent"), **variables})
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-vvv", "--diff", str(PLAYBOOK), "-e", values],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_install_again_and_remove(live_server: LiveServer, collections: Path) -> None:
    token, prefix = live_server.mint("role"), collections.parent / "agent"
    client = live_server.call(token, "POST", "/clients", {"name": "role-host"})
    config = prefix / "etc/bbs-agent/config.ini"
    # Also where the tests run in a container.
    config.parent.mkdir(parents=True)
    config.write_text("[agent]\nexchange_key = yes\n")
    left = prefix / "run/bbs-agent-install.sh"
    left.parent.mkdir()
    left.write_text("exit 3 # what a run that was killed has left\n")

    first = play(live_server, collections, token, state="present")
    key = re.search(r"api_key\s*=\s*(\S+)", config.read_text())
    assert key is not None
    for secret in (key[1], client["api_key"], token):
        assert secret not in first
    assert "changed=1" in first
    assert not left.exists()
    assert list((collections.parent / "temporary").iterdir()) == []

    assert key[1] != client["api_key"], "the agent has a key of its own"
    again = play(live_server, collections, token, state="present")
    assert "changed=0" in again
    # As if it stood in the inventory.
    again = play(live_server, collections, token, state="present", install_command=client["install_command"])
    assert "changed=0" in again
    assert "TASK [borgfleet.bbs.agent : Run the installer]" not in again

    removed = play(live_server, collections, token, state="absent")
    assert "changed=1" in removed
    assert not (prefix / "etc").exists()
    assert not (prefix / "opt").exists()
    assert "changed=0" in play(live_server, collections, token, state="absent")
