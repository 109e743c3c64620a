# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How names are checked and turned into parts of paths."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import peewee

from bbs_server.errors import Invalid
from bbs_server.models import NAME_LENGTH


def checked(name: str, field: str = "name", length: int = NAME_LENGTH) -> str:
    """A name without surrounding space.

    :raises Invalid: empty, over-long, or with control characters (they would forge log lines).
    """
    trimmed = name.strip()
    # "0" counts as empty (admin-api.md §5.1).
    if trimmed in ("", "0"):
        raise Invalid(f"{field}: is required and must not be empty.")
    if len(trimmed) > length:
        raise Invalid(f"{field}: must have at most {length} characters; this one has {len(trimmed)}.")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in trimmed):
        raise Invalid(f"{field}: must not contain line breaks or control characters.")
    return trimmed


def alphabetically(field: peewee.Field) -> Any:
    """How lists are ordered by name: capitals and small letters alike, as upstream's database compares them."""
    return peewee.fn.LOWER(field)


def slug(name: str) -> str:
    """The form of a repository's name that is stored and used as its folder (admin-api.md §5.2)."""
    dashed = re.sub(r"[^a-z0-9_-]+", "-", name.lower())
    return re.sub(r"-{2,}", "-", dashed).strip("-") or "repo"
