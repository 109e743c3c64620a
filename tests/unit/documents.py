# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules' documentation says, with that of the fragments they share."""

from __future__ import annotations

import importlib
from typing import Any

import yaml

COLLECTION = "ansible_collections.borgfleet.bbs"
Document = dict[str, Any]


def imported(kind: str, name: str) -> Any:
    """A module of the collection's Python, such as ``("modules", "bbs_plan")``."""
    return importlib.import_module(f"{COLLECTION}.plugins.{kind}.{name}")


def documented(module: str) -> tuple[Document, Document, Document]:
    """A module's documentation, its options with those of its fragments, and what it returns."""
    found = imported("modules", module)
    documentation = yaml.safe_load(found.DOCUMENTATION)
    options = dict(documentation["options"])
    for name in documentation["extends_documentation_fragment"]:
        file, _slash, part = name.removeprefix("borgfleet.bbs.").partition(".")
        fragment = imported("doc_fragments", file).ModuleDocFragment
        text = getattr(fragment, (part or "documentation").upper())
        options.update(yaml.safe_load(text).get("options", {}))
    return documentation, options, yaml.safe_load(found.RETURN)
