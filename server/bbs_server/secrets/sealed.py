# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where sealed secrets stand in a row: in columns ``sealed_<name>``, and inside the settings of plugins.

Each is named as the keyring knows it: ``<name>``, or ``config.<option>``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import peewee

from bbs_server.backup_plugins import PLUGINS
from bbs_server.models import TABLES, PluginConfig, Table

_COLUMN = "sealed_"
_OPTION = "config."


def tables() -> list[type[Table]]:
    """The tables that may hold secrets."""
    return [model for model in TABLES if issubclass(model, Table) and (model is PluginConfig or _columns(model))]


def table_named(name: str) -> type[Table]:
    """The table of that name, which holds secrets."""
    return next(model for model in tables() if model._meta.table_name == name)


def values(row: Any) -> dict[str, str]:
    """All secrets of one row, sealed."""
    if isinstance(row, PluginConfig):
        config = json.loads(row.config)
        return {f"{_OPTION}{key}": config[key] for key in sorted(PLUGINS[row.plugin].sensitive()) if config.get(key)}
    found = {field.name.removeprefix(_COLUMN): getattr(row, field.name) for field in _columns(type(row))}
    return {name: text for name, text in found.items() if text is not None}


def replace(row: Any, sealed: Mapping[str, str]) -> None:
    """Store secrets that were sealed anew, for the same places."""
    if isinstance(row, PluginConfig):
        options = {name.removeprefix(_OPTION): text for name, text in sealed.items()}
        row.config = json.dumps(json.loads(row.config) | options)
        row.save(only=[PluginConfig.config])
        return
    columns = [f"{_COLUMN}{name}" for name in sealed]
    for column, text in zip(columns, sealed.values(), strict=True):
        setattr(row, column, text)
    row.save(only=columns)


def _columns(model: type[peewee.Model]) -> list[peewee.Field]:
    return [field for field in model._meta.sorted_fields if field.name.startswith(_COLUMN)]
