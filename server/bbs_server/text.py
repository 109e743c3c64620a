# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be kept as text."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> bool:
    """Whether a value is text that a database takes.

    A null character or a lone surrogate is valid in JSON and in a Python string, but in no database.
    """
    if not isinstance(value, str) or "\x00" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
