# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the services work with: settings, database, keys, clock, borg. Built once per process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Self

from flask import current_app, g

from bbs_server import db
from bbs_server.borg.command import Borg
from bbs_server.clock import Clock, system_clock
from bbs_server.secrets import Keyring, NotingKeyring
from bbs_server.settings import Settings

EXTENSION = "bbs_runtime"
REHEARSAL = "bbs_rehearsal"


@dataclass(frozen=True)
class Runtime:
    """The server's surroundings; tests replace the clock, waiting and the source of randomness."""

    settings: Settings
    database: db.Database
    keyring: Keyring
    borg: Borg
    clock: Clock = system_clock
    token_bytes: Callable[[int], bytes] = secrets.token_bytes
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    operator: str = "server"
    """Who acts where no request does: the server by itself, or whoever calls a command (``account.operator``)."""
    rehearsing: bool = False

    @classmethod
    def open(cls, settings: Settings, **replaced: Any) -> Self:
        """Open the database and read the keys.

        :raises DatabaseError: unsupported URL.
        :raises SecretError: no usable key file.
        """
        return cls(
            settings=settings,
            database=db.open_database(settings.database, settings.database_password_file),
            keyring=Keyring(settings.key_file),
            borg=Borg(settings.borg_directory, settings.temporary_directory),
            **replaced,
        )

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close_all()

    def rehearsal(self) -> Self:
        """The same surroundings, for something that is not to happen."""
        return replace(self, rehearsing=True, keyring=NotingKeyring(self.keyring))

    def act(self, effect: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Do something outside the database: files, keys, borg. A rehearsal (``dry_run``) leaves it out."""
        if not self.rehearsing:
            effect(*arguments, **options)

    def writing(self) -> AbstractContextManager[Any]:
        """A transaction that will write; no other writes meanwhile, on either engine (:func:`db.writing`)."""
        return db.writing(self.database)


def runtime() -> Runtime:
    """The runtime of the current application; in a dry run one that only rehearses."""
    found: Runtime = current_app.extensions[EXTENSION]
    return g.get(REHEARSAL) or found
