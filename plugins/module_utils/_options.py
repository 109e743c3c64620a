# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with options as they were written, where Ansible says too little or nothing."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible.module_utils.errors import UnsupportedError

KINDS: dict[type, str] = {list: "a list", dict: "a dictionary"}


def described(error: Exception) -> str:
    """What Ansible's validation found; of options that nobody knows, it says no more than the names."""
    return f"unsupported options: {error}" if isinstance(error, UnsupportedError) else str(error)


def mistyped(spec: Mapping[str, Mapping[str, Any]], written: Mapping[str, Any]) -> Iterator[str]:
    """Lists and dictionaries where text is expected: Ansible would write them out, and take that for a name."""
    for option, value in written.items():
        declared = spec.get(option, {})
        if declared.get("type") == "str" and type(value) in KINDS:
            yield f"{option} must be text, but it is {KINDS[type(value)]}"
        elif declared.get("elements") == "str" and isinstance(value, list):
            wrong = next((KINDS[type(item)] for item in value if type(item) in KINDS), None)
            if wrong:
                yield f"{option} must be a list of texts, but {wrong} is one of them"
