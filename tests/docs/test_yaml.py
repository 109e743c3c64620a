# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every YAML block of the pages, also those that are not run: it parses, and names options and variables that exist."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from .paths import ROOT, pages

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from collection_path import provide
from documents import documented

provide()

_BLOCK = re.compile(r"^```ya?ml\b.*\n((?:.*\n)*?)^```$", re.MULTILINE)
OF_A_ROLE_ENTRY = {"role", "name", "when", "vars", "tags"}
BLOCKS = [
    pytest.param(found[1], id=f"{page.relative_to(ROOT)}-{number}")
    for page in pages()
    for number, found in enumerate(_BLOCK.finditer(page.read_text(encoding="utf-8")), 1)
]


@cache
def options(module: str) -> frozenset[str]:
    return frozenset(documented(module)[1])


@cache
def variables(role: str) -> frozenset[str]:
    specification = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return frozenset(yaml.safe_load(specification)["argument_specs"]["main"]["options"])


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings of a document, however deep."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def modules() -> set[str]:
    return {path.stem for path in (ROOT / "plugins" / "modules").glob("bbs_*.py")}


@pytest.mark.parametrize("text", BLOCKS)
def test_a_block_names_what_exists(text: str) -> None:
    for node in nodes(yaml.safe_load(text)):
        for name, value in node.items():
            module = str(name).removeprefix("borgfleet.bbs.")
            if module != name and isinstance(value, dict):
                assert module in modules()
                assert set(value) <= options(module), module
        if str(node.get("role", "")).startswith("borgfleet.bbs."):
            role = node["role"].removeprefix("borgfleet.bbs.")
            assert set(node) - OF_A_ROLE_ENTRY <= variables(role) | variables("agent"), role


def test_there_are_blocks_of_every_module() -> None:
    shown = "\n".join(str(block.values[0]) for block in BLOCKS)
    assert {module for module in modules() if f"borgfleet.bbs.{module}:" not in shown} == set()
