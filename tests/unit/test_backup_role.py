# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role `backup` takes in its lists what the modules take, and hands all of it on."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from .collection_path import CHECKOUT
from .documents import documented, imported

ROLE = CHECKOUT / "roles" / "backup"
LISTS = {"bbs_repositories": "bbs_repository", "bbs_plugin_configs": "bbs_plugin_config", "bbs_plans": "bbs_plan"}

# What is not a host's to say in these lists: the role itself gives or decides it.
NOT_IN_LISTS = {
    "bbs_repositories": {"client", "new_name", "state", "keep_data", "delete_plans"},
    "bbs_plugin_configs": {"client", "new_name", "state"},
    "bbs_plans": {"client", "new_name"},
}
CONNECTION = set(yaml.safe_load(imported("doc_fragments", "connection").ModuleDocFragment.DOCUMENTATION)["options"])


def taken(variable: str) -> dict[str, dict[str, Any]]:
    """What an entry of the list may hold."""
    specification = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
    options: dict[str, dict[str, Any]] = specification["argument_specs"]["main"]["options"][variable]["options"]
    return options


@pytest.mark.parametrize(("variable", "module"), LISTS.items())
def test_it_takes_what_the_module_takes(variable: str, module: str) -> None:
    options = {name: option for name, option in documented(module)[1].items() if name not in CONNECTION}
    assert set(taken(variable)) == set(options) - NOT_IN_LISTS[variable]
    for name, option in taken(variable).items():
        for key in ("type", "elements", "choices", "required"):
            assert option.get(key) == options[name].get(key), (name, key)


@pytest.mark.parametrize(("variable", "module"), LISTS.items())
def test_it_hands_on_what_it_takes(variable: str, module: str) -> None:
    listed = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())
    tasks = [task for item in listed for task in item.get("block", [item])]
    (given,) = [task[f"borgfleet.bbs.{module}"] for task in tasks if f"borgfleet.bbs.{module}" in task]
    assert set(given) - {"client"} == set(taken(variable))
