# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declaration, documentation and metadata say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .collection_path import CHECKOUT
from .documents import documented, imported

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("bbs_*.py"))
RUNTIME = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())


@pytest.mark.parametrize("module", MODULES)
def test_options(module: str) -> None:
    check_options(documented(module)[1], imported("modules", module).MODULE.argument_spec)


def check_options(options: dict[str, Any], spec: dict[str, Any]) -> None:
    assert set(options) == set(spec)
    for name, option in options.items():
        declared = spec[name]
        for key in ("type", "elements", "choices", "default", "required"):
            assert option.get(key) == declared.get(key), (name, key)
        assert option["description"], name
        check_options(option.get("suboptions", {}), declared.get("options", {}))


@pytest.mark.parametrize("module", MODULES)
def test_documentation(module: str) -> None:
    documentation, options, returned = documented(module)
    assert documentation["module"] == module == imported("modules", module).MODULE.name
    assert documentation["version_added"] == "0.1.0"
    assert documentation["seealso"]
    for example in yaml.safe_load(imported("modules", module).EXAMPLES):
        arguments = example.get(f"borgfleet.bbs.{module}", {})
        assert set(arguments) <= set(options), example["name"]
    for name, value in returned.items():
        assert value["description"] and value["returned"] and value["type"], name


def test_metadata_names_every_module() -> None:
    assert RUNTIME["action_groups"]["bbs"] == MODULES


def test_the_oldest_ansible_is_a_tested_one() -> None:
    """What the metadata promises is what the tests are run with (tests/other-ansible.sh)."""
    requirements = (CHECKOUT / "tests" / "requirements.txt").read_text().splitlines()
    tested = next(line for line in requirements if line.startswith("ansible-core"))
    assert f"{tested.removeprefix('ansible-core').split(',')[0]}.0" == RUNTIME["requires_ansible"]


@pytest.mark.parametrize("module", MODULES)
def test_action_plugin_of_the_same_name(module: str) -> None:
    assert imported("action", module).ActionModule.module is imported("modules", module).MODULE


@pytest.mark.parametrize("module", MODULES)
def test_options_that_descriptions_refer_to_exist(module: str) -> None:
    documentation, options, _returned = documented(module)
    texts = yaml.safe_dump([documentation["description"], options], width=1000)
    known = {path for path, _option in paths(options)}
    referred = {match.replace("[]", "") for match in re.findall(r"\bO\(([a-z][a-z_.\[\]]*)[=)]", texts)}
    assert referred <= known


def paths(options: dict[str, Any], within: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield f"{within}{name}", option
        yield from paths(option.get("suboptions", {}), f"{within}{name}.")


def test_a_fleet_has_the_options_of_single_objects() -> None:
    """Neither more nor less, and each described by the same words."""
    hosts = documented("bbs_fleet")[1]["hosts"]["suboptions"]
    lists = {"repositories": "bbs_repository", "plugin_configs": "bbs_plugin_config", "plans": "bbs_plan"}
    for found, module in ((hosts, "bbs_client"), *((hosts[key]["suboptions"], name) for key, name in lists.items())):
        own = yaml.safe_load(imported("modules", module).DOCUMENTATION)["options"]
        assert set(found) - (set(lists) if found is hosts else set()) == set(own) - {"client"}
        for name in set(own) - {"client"}:
            words = [re.sub(r"O\(hosts\[\]\.(?:[a-z_]+\[\]\.)?", "O(", text) for text in found[name]["description"]]
            assert words == own[name]["description"]


def test_secret_options_are_marked() -> None:
    """What sounds like a secret is declared to be one, or declared not to be."""
    for module in MODULES:
        for name, option in imported("modules", module).MODULE.argument_spec.items():
            if option["type"] not in ("bool", "int") and any(word in name for word in ("pass", "token", "key")):
                assert "no_log" in option, (module, name)


def test_no_defaults_but_for_state_and_behaviour() -> None:
    """The server decides what is left out (docs: omitted is not null)."""
    for module in ("bbs_repository", "bbs_plan"):
        spec = imported("modules", module).MODULE.argument_spec
        resource = imported("module_utils", {"bbs_repository": "repositories", "bbs_plan": "plans"}[module])
        fields = (resource.REPOSITORY if module == "bbs_repository" else resource.PLAN).fields
        assert not [f.option for f in fields if f.argument and "default" in spec[f.option]]
