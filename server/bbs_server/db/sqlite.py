# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQLite as the database: writers wait for their turn, and what was committed is on the disk."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import peewee
from playhouse.pool import PooledSqliteDatabase

from bbs_server.db.errors import OutcomeUnknown, is_locked

logger = logging.getLogger(__name__)

WRITING = "IMMEDIATE"
"""What :meth:`Sqlite.begin` takes to hold all other writers off."""

_PRAGMAS = {
    "journal_mode": "wal",
    # A COMMIT does not wait for the disk by itself, holding the lock meanwhile. See Sqlite.commit.
    "synchronous": "normal",
    "foreign_keys": 1,
    # KiB, for each connection, and there are as many as threads. The system keeps the file in memory, too.
    "cache_size": -512,
    # Last: until then the driver waits by itself. See Sqlite._patiently.
    "busy_timeout": 0,
}

_LOOK_SECONDS = 0.001


class Log:
    """The file beside the database that SQLite commits to, and the wait for it (docs/adr/0014-log-on-the-disk.md).

    Threads that wait for the disk at the same time share one call; those of several processes the kernel joins.

    :param path: of the database.
    :param empty: moves all that was committed to the database itself, on the disk.
    """

    def __init__(self, path: str, empty: Callable[[], None]) -> None:
        # SQLite follows links before it chooses the place.
        self._path = f"{os.path.realpath(path)}-wal"
        self._empty = empty
        self._turn = threading.Lock()
        self._begun = self._done = 0
        self._trusted = True
        self._file: int | None = None

    def settle(self) -> None:
        """Wait until what this thread has committed is on the disk.

        :raises OSError: it may not be.
        :raises peewee.PeeweeException: the same.
        """
        needed = self._begun + 1
        with self._turn:
            if self._done < needed:
                self._begun += 1
                self._sync()
                self._done = self._begun

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _sync(self) -> None:
        # What the kernel once failed to write it forgets, and says no more about. All that comes after it in the
        # log would be lost too, so from then on only the database itself is trusted.
        trusted, self._trusted = self._trusted, False
        os.fdatasync(self._opened())
        if not trusted:
            self._empty()
        self._trusted = True

    def _opened(self) -> int:
        # Kept open: only those who had it open when the disk failed are told of that, each once.
        if self._file is not None and os.fstat(self._file).st_nlink == 0:
            self.close()
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._file


class Sqlite(PooledSqliteDatabase):  # type: ignore[misc]  # playhouse has no types
    """One file; connections to it are kept open between requests, one for each thread that needs one."""

    def __init__(self, path: str) -> None:
        super().__init__(path, max_connections=0, pragmas=_PRAGMAS, check_same_thread=False)
        self.patience = 10.0
        """Seconds to wait for another's writing before the error says that the database is busy."""
        self._log = Log(path, self._empty_log)
        self._rows = threading.local()

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction; one that writes waits for its turn."""
        self._patiently(super().begin, lock_type)
        self._rows.before = self.connection().total_changes

    def commit(self) -> None:
        """Commit, let others write, and wait until what was written is on the disk, whatever happens to the power.

        What is written outside of a transaction, heartbeats and the like, may be a moment old after that.

        :raises OutcomeUnknown: the disk failed. Others see what was written; after a power cut it may be gone.
        """
        super().commit()
        if self.connection().total_changes == self._rows.before:
            return
        try:
            self._log.settle()
        except (OSError, peewee.PeeweeException) as error:
            logger.error("A change was committed, but may not be on the disk: %s", error)
            raise OutcomeUnknown(error) from error

    def rollback(self) -> None:
        """Roll back, if there is something: a COMMIT that failed may have done so, or be carried out."""
        if self.connection().in_transaction:
            super().rollback()

    def close_all(self) -> None:
        """Close all connections."""
        super().close_all()
        self._log.close()

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement; one that writes outside of a transaction waits for its turn too."""
        return self._patiently(super().execute_sql, sql, params)

    def _empty_log(self) -> None:
        (in_the_way, written, moved) = self.execute_sql("PRAGMA wal_checkpoint(FULL)").fetchone()
        if in_the_way or written != moved:
            raise BlockingIOError("Others use the database, so its log could not be emptied.")

    def _patiently(self, run: Callable[..., Any], *arguments: Any) -> Any:
        """Do something as soon as nobody else writes.

        SQLite's own waiting (``busy_timeout``) looks again after ever longer pauses, so that under load those who
        came last go first and a few wait for seconds (docs/adr/0013-sqlite-writers.md).
        """
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return run(*arguments)
            except peewee.OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_SECONDS)

    def describe(self) -> str:
        """Which database this is and how large."""
        size = self.pragma("page_count") * self.pragma("page_size")
        return f"SQLite {'.'.join(map(str, self.server_version))}, {self.database}, {size // 1024**2} MiB"
