# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL database for each server that would have an SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from bbs_server import db
from bbs_server.settings import Settings

from .database_servers import Postgres, open_directory, postgres

_TEMPLATE = "migrated"
_DEFAULT: property = vars(Settings)["database"]


@dataclass
class Databases:
    """The databases of one cluster, named by the directories of their servers."""

    cluster: Postgres
    names: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        with db.opened(self.cluster.url(_TEMPLATE)) as database:
            db.migrate(database)

    def url(self, settings: Settings) -> str:
        """What takes the place of ``Settings.database`` once there is a server."""
        if settings.database_url or not settings.key_file.exists():
            return str(_DEFAULT.__get__(settings))
        if settings.directory not in self.names:
            name = f"server{len(self.names)}"
            self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
            self.names[settings.directory] = name
        return self.cluster.url(self.names[settings.directory])

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.cluster.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def on_postgresql() -> Iterator[Databases]:
    """Replace the default database of every :class:`Settings` of this process."""
    with open_directory() as directory, postgres(directory / "pg") as cluster, pytest.MonkeyPatch.context() as patch:
        databases = Databases(cluster)
        patch.setattr(Settings, "database", property(databases.url))
        yield databases
