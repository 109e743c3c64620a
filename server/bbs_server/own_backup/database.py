# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database's part in a backup of the server itself: an SQLite file, or what ``pg_dump`` says."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bbs_server import durable
from bbs_server.db import postgresql
from bbs_server.db.errors import DatabaseError
from bbs_server.settings import Settings

_SQLITE = "sqlite:///"


class BackupError(Exception):
    """The backup cannot be made or put back; the message says why."""


class Saved(Protocol):
    """A database as backups need it. All of it raises :class:`BackupError`."""

    member: str
    """Its name in the backup."""

    def copy(self, target: Path) -> None:
        """Write one moment of it into a file, whatever is written meanwhile."""

    def check(self, file: Path) -> None:
        """Make sure that such a file is whole."""

    def existing(self) -> str:
        """Say what is there already; empty: nothing."""

    def put(self, file: Path) -> list[Path]:
        """Put such a file in the database's place; returns the files that were written."""

    def worker(self, now: datetime) -> str:
        """Name the worker that holds a lease; empty: none does, or the database is too old or damaged to tell."""


def put_file(source: Path, target: Path) -> Path:
    """Copy a file into its place, for its owner only unless it is a public key."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.restored")
    shutil.copyfile(source, beside)
    beside.chmod(0o644 if target.suffix == ".pub" else 0o600)
    durable.replace(beside, target)
    return target


@dataclass
class SqliteFile:
    """An SQLite database."""

    file: Path
    member: str = "database.sqlite"

    def copy(self, target: Path) -> None:
        if not self.file.exists():
            raise BackupError(f"The database {self.file} is missing.")
        target.touch(mode=0o600)
        try:
            with closing(sqlite3.connect(self.file, timeout=30)) as live, closing(sqlite3.connect(target)) as copy:
                live.backup(copy)
                # A copy in WAL mode would need files beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise BackupError(f"The database {self.file} cannot be copied: {error}.") from error
        self.check(target)

    def check(self, file: Path) -> None:
        try:
            with closing(sqlite3.connect(file)) as database:
                (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            verdict = str(error)
        if verdict != "ok":
            raise BackupError(f"The copy of the database is damaged: {verdict}.")

    def existing(self) -> str:
        return f"{self.file} exists" if self.file.exists() else ""

    def put(self, file: Path) -> list[Path]:
        # The journal of the database that was there must not be applied to this one.
        for ending in ("-wal", "-shm"):
            self.file.with_name(self.file.name + ending).unlink(missing_ok=True)
        return [put_file(file, self.file)]

    def worker(self, now: datetime) -> str:
        if not self.file.exists():
            return ""
        try:
            with closing(sqlite3.connect(self.file)) as live:
                moment = f"{now:%Y-%m-%d %H:%M:%S}"
                found = live.execute("SELECT holder FROM leases WHERE expires_at > ?", [moment]).fetchone()
        except sqlite3.Error:
            return ""
        return str(found[0]) if found else ""


_DUMPED = b"-- PostgreSQL database dump complete"

_EMPTY = """
DO $$ DECLARE found record; BEGIN
  FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
    EXECUTE format('DROP TABLE %I CASCADE', found.tablename);
  END LOOP;
END $$
"""
"""A dump drops only the tables that it knows; a newer version may have made others."""


class PostgreSQLDump:
    """A PostgreSQL database, by its own programs, which have to be on this machine and not older than its server.

    They run as the owner of the server's directory, also when root calls: PostgreSQL may know people by their account.
    """

    member = "database.sql"

    def __init__(self, settings: Settings) -> None:
        try:
            self._parameters = postgresql.parameters(settings.database, settings.database_password_file)
        except DatabaseError as error:
            raise BackupError(str(error)) from error
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = settings.directory.stat()
            self._account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}

    def copy(self, target: Path) -> None:
        target.touch(mode=0o600)
        with target.open("wb") as stream:
            self._run(["pg_dump", "--no-owner", "--no-privileges"], stdout=stream)
        self.check(target)

    def check(self, file: Path) -> None:
        with file.open("rb") as stream:
            stream.seek(max(file.stat().st_size - 1000, 0))
            if _DUMPED not in stream.read():
                raise BackupError("The copy of the database is damaged: its end is missing.")

    def existing(self) -> str:
        tables = self._ask("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
        return "" if tables == "0" else f"the database {self._parameters['dbname']} has tables"

    def put(self, file: Path) -> list[Path]:
        with file.open("rb") as stream:
            self._run([*_PSQL, "--single-transaction", "--command", _EMPTY, "--file", "-"], stdin=stream)
        return []

    def worker(self, now: datetime) -> str:
        if self._ask("SELECT to_regclass('leases')") == "":
            return ""
        return self._ask(f"SELECT holder FROM leases WHERE expires_at > '{now:%Y-%m-%d %H:%M:%S}' LIMIT 1")

    def _ask(self, query: str) -> str:
        done = self._run([*_PSQL, "--tuples-only", "--no-align", "--command", query])
        return done.stdout.decode().strip()

    def _run(self, command: list[str], **files: Any) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                command,
                env=self._environment(),
                check=True,
                stderr=subprocess.PIPE,
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **files},
                **self._account,
            )
        except FileNotFoundError as error:
            raise BackupError(f"{command[0]} is missing: install PostgreSQL's client programs.") from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines() or ["it does not say why"]
            raise BackupError(f"{command[0]} failed: {said[-1]}") from error

    def _environment(self) -> dict[str, str]:
        """Where to connect to, which may hold a password, in libpq's variables: arguments are seen by everybody."""
        from psycopg.pq import Conninfo

        variables = {option.keyword.decode(): option.envvar for option in Conninfo.get_defaults()}
        told = {(variables.get(name) or b"").decode(): value for name, value in self._parameters.items()}
        return {**os.environ, **{variable: value for variable, value in told.items() if variable}}


_PSQL = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]


def saved_database(settings: Settings) -> Saved:
    """The database that the settings name."""
    if settings.database.startswith(_SQLITE):
        return SqliteFile(Path(settings.database.removeprefix(_SQLITE)))
    return PostgreSQLDump(settings)
