# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queries whose SQL is made once: for short ones, making it takes longer than running it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import peewee

from bbs_server.db import naive
from bbs_server.models import proxy


class _Slot:
    """Stands in the parameters of a statement for a value that is given when it runs."""

    def __init__(self, name: str) -> None:
        self.name = name


def slot(name: str) -> Any:
    """A value that is named when the statement is made, and given when it runs."""
    return peewee.Value(_Slot(name), converter=False)


class Statement:
    """A query with slots; everything else in it is the same each time.

    :param make: returns the query; called once for each kind of database.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: dict[type, tuple[Any, str, list[Any]]] = {}
        self._readers: dict[type, Callable[[Any], Any]] = {}

    def rows(self, **values: Any) -> list[Any]:
        """What the query selects, in the form it selects it in."""
        query, cursor = self._run(values)
        found = cursor.fetchall()
        if not found:
            return []
        read = self._readers.get(type(proxy.obj))
        if read is None:
            # Which column is which attribute of which model: the same for each row, and each time.
            wrapper = query.clone()._get_cursor_wrapper(cursor)
            wrapper.initialize()
            read = self._readers[type(proxy.obj)] = wrapper.process_row
        return [read(row) for row in found]

    def raw(self, **values: Any) -> list[tuple[Any, ...]]:
        """The rows as the database holds them; no times are made of texts. For long lists."""
        found: list[tuple[Any, ...]] = self._run(values)[1].fetchall()
        return found

    def first(self, **values: Any) -> Any:
        """The first of its rows, or None; the query itself says that it wants but one."""
        return next(iter(self.rows(**values)), None)

    def execute(self, **values: Any) -> int:
        """Change what the query changes; returns how many rows that were."""
        _, cursor = self._run(values)
        return int(cursor.rowcount)

    def _run(self, values: dict[str, Any]) -> tuple[Any, Any]:
        database: Any = proxy.obj
        made = self._made.get(type(database))
        if made is None:
            query = self._make()
            made = self._made[type(database)] = (query, *query.sql())
        query, text, parameters = made
        given = [_stored(values[each.name]) if isinstance(each, _Slot) else each for each in parameters]
        return query, database.execute_sql(text, given)


def _stored(value: Any) -> Any:
    return naive(value) if isinstance(value, datetime) else value
