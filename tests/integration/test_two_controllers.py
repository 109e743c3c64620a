# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two controllers run the same playbook at the same moment: one set of objects comes of it, and neither fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, LiveServer
from .playbooks import PROVISIONING, start_playbook

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from collection_path import provide

provide()

HOSTS = [f"twice{number}" for number in range(6)]

PLAYBOOK = f"""{PROVISIONING}
    - borgfleet.bbs.bbs_token:
        name: shared
      run_once: true
      no_log: true
    - borgfleet.bbs.bbs_plugin_config:
        client: "{{{{ inventory_hostname }}}}"
        plugin: shell_hook
        name: hook
        config:
          pre_script: /bin/true
    - borgfleet.bbs.bbs_plan:
        client: "{{{{ inventory_hostname }}}}"
        name: daily
        plugin_configs: [hook]
"""


@pytest.mark.slow
def test_one_set_of_objects(live_server: LiveServer, tmp_path: Path) -> None:
    token = live_server.mint("two controllers")
    (tmp_path / "play.yml").write_text(PLAYBOOK)

    def controller() -> subprocess.Popen[str]:
        hosts = ["-i", f"{','.join(HOSTS)},", "-f", "6"]
        return start_playbook(tmp_path, *hosts, BBS_URL=live_server.url, BBS_TOKEN=token)

    both = [controller(), controller()]
    said = [process.communicate(timeout=300)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], "\n".join(said)
    clients = live_server.call(token, "GET", "/clients")["clients"]
    found = [client for client in clients if client["name"] in HOSTS]
    assert sorted(client["name"] for client in found) == HOSTS
    for client in found:
        for kind in ("repositories", "plugin-configs", "plans"):
            listed = live_server.call(token, "GET", f"/clients/{client['id']}/{kind}")
            (rows,) = [rows for rows in listed.values() if isinstance(rows, list)]
            assert len(rows) == 1, f"{kind} of {client['name']}"
    assert len([row for row in live_server.call(token, "GET", "/tokens")["tokens"] if row["name"] == "shared"]) == 1
    with controller() as again:
        assert "changed=0" in again.communicate(timeout=300)[0]
    assert again.returncode == 0
