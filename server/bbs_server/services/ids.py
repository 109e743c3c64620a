# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rows are found that belong to many clients at once, and how long lists are read in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import peewee

MOST = 500
"""Ids that are named one by one, as no database takes any number of parameters; rows that a long list has in a part."""

Row = TypeVar("Row")


def span(ids: Sequence[int]) -> tuple[int, int] | None:
    """The first and the last of ids between which there are hardly any others.

    A page of a long list has its ids from all over the fleet: of those it is None.
    """
    first, last = min(ids), max(ids)
    return (first, last) if len(ids) > MOST or last - first < 2 * len(ids) else None


def among(column: peewee.Field, ids: Sequence[int]) -> Any:
    """The condition that a column holds one of these ids, or one in between where that is quicker.

    :param ids: at least one.
    """
    between = span(ids)
    return column.between(*between) if between else column.in_(ids)


def parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """A long list in parts, each short enough for :func:`among`; an empty one has none."""
    return (rows[start : start + MOST] for start in range(0, len(rows), MOST))
