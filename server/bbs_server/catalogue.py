# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file catalogue of one archive: an SQLite file of its own; a million files cost the main database nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LONGEST_PATH = 4096
"""Characters; longer paths are left out."""

DEEPEST_PATH = 128
"""Directories one in another; what lies deeper is left out."""

_SCHEMA = """
CREATE TABLE directories (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE entries (
    directory INTEGER NOT NULL, is_file INTEGER NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER,
    PRIMARY KEY (directory, is_file, name)
) WITHOUT ROWID;
"""

_FAST = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;"
"""A file that is not whole is thrown away, so nothing has to survive a crash; 16 MB of memory."""

_LARGEST = 2**63 - 1


class CatalogueError(Exception):
    """The file is missing or is no catalogue."""


@dataclass(frozen=True)
class Entry:
    """A file or a directory of an archive.

    :param path: absolute, without a slash at its end.
    :param status: borg's letter, upper-case; empty when it is not known.
    :param size: bytes.
    :param mtime: the client's local time.
    """

    path: str
    is_file: bool
    status: str
    size: int
    mtime: datetime | None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, order=True)
class Position:
    """A place in a directory's listing: directories come first, then files, each by name."""

    is_file: bool
    name: str


def write(target: Path, entries: Iterable[Entry]) -> None:
    """Write a catalogue; of entries with the same path the last one counts.

    Directories that nobody listed, such as those above the first one, are added.

    :raises CatalogueError: it could not be written.
    """
    target.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            database.executescript(_FAST + _SCHEMA)
            database.execute("BEGIN")
            directories = _Directories(database)
            for entry in entries:
                _add(database, directories, entry)
            database.execute("COMMIT")
    except sqlite3.Error as error:
        raise CatalogueError(f"The catalogue could not be written ({error}).") from error


def _add(database: sqlite3.Connection, directories: _Directories, entry: Entry) -> None:
    parent, _, name = entry.path.rpartition("/")
    values = (entry.is_file, name, entry.status, min(entry.size, _LARGEST), _seconds(entry.mtime))
    database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", (directories.id_of(parent), *values))
    if not entry.is_file:
        directories.id_of(entry.path)


class _Directories:
    """The ids of directories; keeps those of the path it is at, as borg goes through a tree in order."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._at = {"": self._add("")}

    def id_of(self, path: str) -> int:
        if path not in self._at:
            self._go_to(path)
        return self._at[path]

    def _go_to(self, path: str) -> None:
        self._at = {known: number for known, number in self._at.items() if path.startswith(f"{known}/")}
        above = max(self._at, key=len)
        for name in path[len(above) + 1 :].split("/"):
            here = f"{above}/{name}"
            row = self._database.execute("SELECT id FROM directories WHERE path = ?", (here,)).fetchone()
            self._at[here] = row[0] if row else self._add(here, self._at[above], name)
            above = here

    def _add(self, path: str, parent: int = 0, name: str = "") -> int:
        if path:
            row = (parent, False, name, "", 0, None)
            self._database.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
        number = self._database.execute("INSERT INTO directories (path) VALUES (?)", (path,)).lastrowid
        assert number is not None
        return number


class Catalogue:
    """A catalogue that is read.

    :raises CatalogueError: by each of its methods.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def directory(self, path: str, *, limit: int, after: Position | None = None) -> list[Entry] | None:
        """What lies directly in a directory; None when the archive has no such directory.

        :param path: absolute, without a slash at its end; empty for the root.
        :param limit: at most so many.
        :param after: where the page before ended.
        """
        after = after or Position(False, "")
        with self._open() as database:
            found = database.execute("SELECT id FROM directories WHERE path = ?", (path,)).fetchone()
            if found is None:
                return None
            rows = database.execute(
                "SELECT is_file, name, status, size, mtime FROM entries"
                " WHERE directory = ? AND (is_file, name) > (?, ?) ORDER BY is_file, name LIMIT ?",
                (found[0], after.is_file, after.name, limit),
            )
            return [_entry(path, *row) for row in rows]

    def search(self, text: str, *, limit: int) -> list[Entry]:
        """The files whose path contains the text; small and capital letters of ASCII are the same."""
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        with self._open() as database:
            rows = database.execute(
                "SELECT path, is_file, name, status, size, mtime FROM entries JOIN directories ON id = directory"
                " WHERE is_file AND path || '/' || name LIKE ? ESCAPE '\\' LIMIT ?",
                (f"%{escaped}%", limit),
            )
            return [_entry(*row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
                yield database
        except sqlite3.Error as error:
            raise CatalogueError(f"The catalogue {self._file.name} cannot be read.") from error


def _entry(directory: str, is_file: int, name: str, status: str, size: int, mtime: int | None) -> Entry:
    moment = None if mtime is None else datetime.fromtimestamp(mtime, UTC).replace(tzinfo=None)
    return Entry(f"{directory}/{name}", bool(is_file), status, size, moment)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp())
