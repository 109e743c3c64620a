# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's defaults, its argument specs and its README say the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from .collection_path import CHECKOUT

ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())


def read(role: str, file: str) -> str:
    return (CHECKOUT / "roles" / role / file).read_text()


def specified(role: str) -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load(read(role, "meta/argument_specs.yml"))["argument_specs"]["main"]["options"]
    return options


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_those_of_the_specs(role: str) -> None:
    assert yaml.safe_load(read(role, "defaults/main.yml")) == {
        name: option["default"] for name, option in specified(role).items()
    }


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_has_every_variable_with_its_default(role: str) -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| `(.*?)` \| \S.* \|$", read(role, "README.md"), re.MULTILINE)
    told = {name.strip("`"): yaml.safe_load(quoted(default)) for names, default in rows for name in names.split(", ")}
    assert told == {name: option["default"] for name, option in specified(role).items()}


def quoted(default: str) -> str:
    """A default as the README writes it, in YAML: templates and what begins with a star need quotes there."""
    return f"'{default}'" if default.startswith(("{{", "*")) else default


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_described_and_has_a_type(role: str) -> None:
    for name, option in specified(role).items():
        assert option["description"] and option["type"], name
        if any(word in name for word in ("password", "passphrase", "install_command")) or name == "bbs_token":
            assert option.get("no_log") is True, name


@pytest.mark.parametrize("role", ROLES)
def test_no_task_hides_a_failure(role: str) -> None:
    for file in (CHECKOUT / "roles" / role).rglob("*.yml"):
        assert not re.search(r"ignore_errors|failed_when: false|ignore_unreachable", file.read_text()), file


def test_the_readme_of_the_collection_names_every_role() -> None:
    page = (CHECKOUT / "README.md").read_text()
    for role in ROLES:
        assert f"](roles/{role}/README.md)" in page


def test_all_families_of_distributions_are_told_the_same() -> None:
    families = [set(yaml.safe_load(read("server", f"vars/{family}.yml"))) for family in ("Debian", "RedHat")]
    assert families[0] == families[1]


@pytest.mark.parametrize("role", ROLES)
def test_messages_are_one_line(role: str) -> None:
    """YAML keeps the end of a line that is indented further than the first, also in a folded text."""
    for file in (CHECKOUT / "roles" / role / "tasks").rglob("*.yml"):
        for message in messages(yaml.safe_load(file.read_text())):
            assert "\n" not in re.sub(r"\{\{.*?\}\}", "", message, flags=re.DOTALL), file
            # In a task's arguments, Ansible takes this for a backslash and an n.
            assert r'split("\n")' not in message, file


@pytest.mark.parametrize("role", ROLES)
def test_files_of_the_same_name_beside_the_playbook_are_not_taken_for_the_roles(role: str) -> None:
    """Only what is named from the folder `tasks` on, and not imported, is looked for in the role first."""
    tasks = CHECKOUT / "roles" / role / "tasks"
    for file in tasks.rglob("*.yml"):
        assert "import_tasks:" not in file.read_text(), file
        for name in re.findall(r"include_tasks: (\w.*)", file.read_text()):
            assert (tasks / name).is_file(), (file, name)


def messages(node: Any) -> list[str]:
    """Every text that a task would show."""
    if isinstance(node, list):
        return [message for item in node for message in messages(item)]
    if not isinstance(node, dict):
        return []
    shown = [value for name, value in node.items() if name in ("msg", "fail_msg") and isinstance(value, str)]
    return shown + [message for value in node.values() for message in messages(value)]
