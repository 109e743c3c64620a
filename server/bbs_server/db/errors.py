# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with a database that works otherwise: not set up, away, or too slow."""

from __future__ import annotations

import sqlite3

import peewee


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


class OutcomeUnknown(peewee.OperationalError):
    """The connection was lost at a COMMIT, or the disk failed: only the database knows whether that was carried out."""


_AWAY = ("08", "53", "57P")
"""Beginnings of PostgreSQL's error codes: lost connections, exhausted resources, shutdown."""

_BUSY = ("40", "55P03", "57014")
"""Deadlocks, lock timeouts, statement timeouts."""

_TOO_BUSY = "The server's database is too busy at the moment: try again."
_DISK_FAILED = "The server's disk failed: whether this was carried out is not certain. Look, and try again."


def is_locked(error: peewee.PeeweeException) -> bool:
    """Whether SQLite refused because another writes, and would not if it were asked again."""
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def passing(error: peewee.PeeweeException) -> str | None:
    """What to tell a caller who may simply try again; None when the error would come again.

    Only PostgreSQL goes away by itself; its driver's errors have a code, or None where no server answered.
    """
    if is_locked(error):
        return _TOO_BUSY
    if not isinstance(error, (peewee.OperationalError, peewee.InterfaceError)):
        return None
    if is_away(error):
        return "The server cannot reach its database at the moment: try again."
    if (_code(error) or "").startswith(_BUSY):
        return _TOO_BUSY
    return _DISK_FAILED if isinstance(error, OutcomeUnknown) else None


def is_away(error: peewee.PeeweeException) -> bool:
    """Whether the connection was lost, or could not be made."""
    code = _code(error)
    return code is None or code.startswith(_AWAY)


def _code(error: peewee.PeeweeException) -> str | None:
    code: str | None = getattr(getattr(error, "orig", None), "sqlstate", "")
    return code
