# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page on security: each promise has its test, each package its pin and its licence."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text()
LOCK = (ROOT / "server" / "requirements.txt").read_text()


@pytest.mark.parametrize("name", re.findall(r"`(tests/\S+::\w+)`", PAGE))
def test_each_promise_names_a_test_that_exists(name: str) -> None:
    file, function = name.split("::")

    assert re.search(rf"^def {function}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_each_row_of_promises_names_a_test() -> None:
    tables = re.findall(r"\| Promise \| Test \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)

    assert len(tables) >= 5
    assert [row for table in tables for row in table.splitlines() if "::" not in row] == []


def test_every_requirement_is_pinned_with_hashes() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+) \\\n    --hash=sha256:", LOCK, re.MULTILINE))
    project = tomllib.loads((ROOT / "server" / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["postgresql"]]

    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
    assert len(pinned) == LOCK.count("==")


def test_every_package_has_its_licence() -> None:
    pinned = re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE)
    listed = re.findall(r"^\| ([\w.-]+) \| [\w .-]+ \|$", PAGE.split("| Package |")[1], re.MULTILINE)

    assert listed == pinned
