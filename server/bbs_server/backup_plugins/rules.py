# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What options of plugins must be, beyond their type: told when they are stored, not when a backup needs them.

A rule returns what a value must be, or None if it is that. None repeats the value, which may be secret.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

Rule = Callable[[Any], str | None]

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"


def between(least: int, most: int) -> Rule:
    """A number within bounds."""
    return lambda value: None if least <= value <= most else f"a whole number from {least} to {most}"


PORT = between(1, 65535)


def absolute(value: str) -> str | None:
    """A path on the client, which may run Windows."""
    return None if re.match(r"/|[A-Za-z]:[\\/]", value) else "an absolute path"


def words(value: str) -> str | None:
    """What the agent splits into words as a shell does."""
    try:
        shlex.split(value)
    except ValueError:
        return "words as a shell takes them: a quotation mark or a backslash lacks its counterpart"
    return None


def storage_url(value: str) -> str | None:
    """Where an S3 storage is; without a scheme, https is meant."""
    matches = re.fullmatch(rf"(https?://)?{_HOST}(/[A-Za-z0-9._~/-]*)?", value)
    return None if matches else "a URL such as https://s3.example.org"


def plain(value: str) -> str | None:
    """A name or key."""
    return None if re.fullmatch(r"[!-~]+", value) else "plain characters without spaces"


def bandwidth(value: str) -> str | None:
    """How fast a copy may go."""
    matches = re.fullmatch(r"\s*[0-9]+[KMG]?B?\s*", value, re.IGNORECASE | re.ASCII)
    return None if matches else "bytes per second, such as 500K, 10M or 1G"
