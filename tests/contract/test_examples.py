# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module's EXAMPLES, run twice against the bundled server."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from .harness import URL, Harness

COLLECTION = "ansible_collections.borgfleet.bbs"
HOST = "web1"
# What the examples take from the inventory, and where they write to.
VARIABLES = {
    "{{ inventory_hostname }}": HOST,
    "{{ vault_repository_passphrase }}": "a passphrase",
    "{{ vault_mysql_backup_password }}": "a password",
}
MODULES = ("bbs_token", "bbs_client", "bbs_repository", "bbs_plugin_config", "bbs_plan", "bbs_info")


def examples(module: str) -> list[dict[str, Any]]:
    """The tasks that use the module itself, with their variables filled in."""
    tasks = yaml.safe_load(importlib.import_module(f"{COLLECTION}.plugins.modules.{module}").EXAMPLES)
    found = [task[f"borgfleet.bbs.{module}"] for task in tasks if f"borgfleet.bbs.{module}" in task]
    return [{name: VARIABLES.get(str(value), value) for name, value in options.items()} for options in found]


def filled(options: dict[str, Any], home: Path) -> dict[str, Any]:
    config = {key: VARIABLES.get(str(value), value) for key, value in options.get("config", {}).items()}
    moved = {name: str(value).replace("~/.config/bbs", str(home)) for name, value in options.items() if name == "dest"}
    return {
        **{name: value for name, value in options.items() if name not in ("url", "token_file")},
        **({"config": config} if config else {}),
        **moved,
    }


@pytest.fixture
def prepared(fleet: Harness) -> Harness:
    """What the examples take for granted."""
    fleet.ok("bbs_client", name=HOST)
    fleet.ok("bbs_repository", client=HOST, name="main", encryption="none")
    fleet.ok("bbs_plugin_config", client=HOST, plugin="mysql_dump", name="production", config={"password": "x"})
    return fleet


@pytest.mark.parametrize("module", MODULES)
def test_twice(prepared: Harness, module: str, tmp_path: Path) -> None:
    for options in examples(module):
        if "url" not in options:
            # The first token comes from the server's own command: see test_tokens.py.
            continue
        task = filled(options, tmp_path)
        prepared.ok(module, url=URL, **task)
        again = prepared.ok(module, url=URL, **task)
        assert not again["changed"], (task, again.get("diff"))


def test_every_module_is_run_here_or_by_name() -> None:
    folder = importlib.import_module(f"{COLLECTION}.plugins.modules.bbs_info").__file__ or ""
    found = {path.stem for path in Path(folder).parent.glob("bbs_*.py")}
    # Its examples need an agent: the quickstart runs them.
    assert found - {"bbs_job"} == set(MODULES)
