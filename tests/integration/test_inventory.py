# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin's EXAMPLES, as ansible-inventory reads them, of a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, LiveServer

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from collection_path import provide

provide()

FROM_ENVIRONMENT, WITH_OPTIONS = yaml.safe_load_all(
    (ROOT / "plugins/inventory/bbs.py").read_text().split('EXAMPLES = r"""', 1)[1].split('"""', 1)[0]
)


@pytest.fixture(scope="module")
def token(live_server: LiveServer) -> str:
    """A token for the server, which has a client without any backup, and one that has no plan."""
    token = live_server.mint("inventory")

    def post(path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        request = urllib.request.Request(f"{live_server.url}/api/v1{path}", content, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    client = post("/clients", name="inventory-1")["id"]
    repository = post(f"/clients/{client}/repositories", name="main", encryption="none")["id"]
    post(f"/clients/{client}/plans", name="p", repository_id=repository, directories="/etc", frequency="daily")
    post("/clients", name="inventory-2")
    return token


def inventory(place: Path, source: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    file = place / "fleet.bbs.yml"
    file.write_text(yaml.safe_dump(source))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BBS_")}
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(file), "--list"],
        env=kept | {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_clients_are_hosts_in_groups(live_server: LiveServer, token: str, tmp_path: Path) -> None:
    done = inventory(tmp_path, FROM_ENVIRONMENT, BBS_URL=live_server.url, BBS_TOKEN=token)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"inventory-1", "inventory-2"} <= set(found["bbs_setup"]["hosts"])
    assert "inventory-1" in found["bbs_never_backed_up"]["hosts"]
    told = found["_meta"]["hostvars"]["inventory-1"]["bbs_client"]
    # Marked as what must never be taken for a template: agents say much of it.
    assert told["name"] == {"__ansible_unsafe": "inventory-1"} and told["never_backed_up"] is True
    assert not {"api_key", "install_command"} & set(told)


def test_options_compose_and_groups(live_server: LiveServer, token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    source = WITH_OPTIONS | {
        "url": "{{ 'http://' }}" + live_server.url.removeprefix("http://"),
        "token_file": str(tmp_path / "token"),
        "compose": WITH_OPTIONS["compose"] | {"number": "bbs_client.id"},
        "groups": WITH_OPTIONS["groups"] | {"in_setup": "bbs_client.status == 'setup'"},
    }

    done = inventory(tmp_path, source)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "inventory-1" in found["in_setup"]["hosts"] and "inventory-1" in found["agent_none"]["hosts"]
    assert isinstance(found["_meta"]["hostvars"]["inventory-1"]["number"], int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": None}, "Which server? Set url, or the environment variable BBS_URL."),
        ({"token": "bbs_tok_wrong"}, "refuses the token"),
        ({"timeout": "soon"}, "timeout"),
    ],
)
def test_what_is_wrong_is_said(
    live_server: LiveServer, token: str, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    source = {"plugin": "borgfleet.bbs.bbs", "url": live_server.url, "token": token} | options
    done = inventory(tmp_path, {name: value for name, value in source.items() if value is not None})

    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert token not in done.stderr and "bbs_tok_wrong" not in done.stderr
