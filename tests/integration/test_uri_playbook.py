# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook made for the upstream server, with plain ansible.builtin.uri, works against the bundled one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from .conftest import LiveServer

PLAYBOOK = Path(__file__).parent / "uri-playbook.yml"


def test_the_six_steps_of_the_public_page(live_server: LiveServer, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    variables = {
        "bbs_url": live_server.url,
        "bbs_token_command": [str(programs / "bbs-token")],
        "client_name": "web-server-01",
        "prefix": str(tmp_path / "agent"),
    }
    done = subprocess.run(
        [str(programs / "ansible-playbook"), str(PLAYBOOK), "-e", json.dumps(variables)],
        env=os.environ | {"BBS_SERVER_CONFIG": str(live_server.config), "ANSIBLE_HOME": str(tmp_path / "ansible")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"MADE (\{.*\})\"?$", done.stdout, re.MULTILINE)
        assert found, done.stdout
        made = json.loads(json.loads(f'"{found[1]}"') if '\\"' in found[1] else found[1])
        assert made["status"] == "online"
        assert made["agent"]
        assert [repository["name"] for repository in made["repositories"]] == ["daily-backup"]
        (plan,) = made["plans"]
        assert plan["plugins"][0]["name"] == "Production MySQL"
        assert plan["next_run"].endswith("02:00:00")
        assert made["plan"]["plugins_attached"] == 1
    finally:
        subprocess.run([str(tmp_path / "agent/bin/bbs-agent"), "stop"], check=False, capture_output=True)
