# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declaration, documentation and metadata say the same."""

from __future__ import annotations

import pytest
import yaml

from .collection_path import CHECKOUT
from .documents import documented, imported

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("bbs_*.py"))
RUNTIME = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())


@pytest.mark.parametrize("module", MODULES)
def test_options(module: str) -> None:
    options = documented(module)[1]
    spec = imported("modules", module).MODULE.argument_spec
    assert set(options) == set(spec)
    for name, option in options.items():
        declared = spec[name]
        for key in ("type", "elements", "choices", "default", "required"):
            assert option.get(key) == declared.get(key), (name, key)
        assert option["description"], name


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


@pytest.mark.parametrize("module", MODULES)
def test_action_plugin_of_the_same_name(module: str) -> None:
    assert imported("action", module).ActionModule.module is imported("modules", module).MODULE


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
