# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything a server needs before its first start: created where missing, never replaced."""

from __future__ import annotations

from pathlib import Path

from bbs_server import db
from bbs_server.borg import sshd
from bbs_server.borg.keys import AuthorizedKeys
from bbs_server.models import Client, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.secrets import key_file
from bbs_server.secrets.key_file import SecretError
from bbs_server.services import storage, tokens
from bbs_server.settings import Settings


def initialise(settings: Settings) -> list[str]:
    """Create what is missing.

    :return: one line per thing created; empty when everything was there.
    :raises DatabaseError: unusable database.
    :raises SecretError: unusable key file, or none beside a database that needs one.
    """
    created = [f"directory {path}" for path in _directories(settings) if _make(path)]
    _refuse_lost_keys(settings)
    if key_file.create(settings.key_file):
        created.append(f"key file {settings.key_file}")
    if settings.private_sshd and sshd.create_host_key(settings):
        created.append(f"SSH host key in {settings.ssh_directory}")
    run = Runtime.open(settings)
    try:
        created += [f"database schema {name}" for name in db.migrate(run.database)]
        with run.database.connection_context():
            created += _first_rows(run)
    finally:
        run.close()
    return created


def _refuse_lost_keys(settings: Settings) -> None:
    """Make no new keys where old ones are gone: nothing would open with them, and nobody would notice."""
    if settings.key_file.exists():
        return
    with db.opened(settings.database, settings.database_password_file) as database, database.connection_context():
        holds_secrets = "clients" in database.get_tables() and Client.select(Client.id).exists()
    if holds_secrets:
        raise SecretError(
            f"The key file {settings.key_file} is gone, and the database holds secrets that were sealed with it: put it"
            " back, from a backup of the server or from the other machine that uses this database."
        )


def _first_rows(run: Runtime) -> list[str]:
    created = []
    with run.writing():
        if tokens.ensure_administrator(run):
            created.append("administrator")
        if not StorageLocation.select().exists():
            path = str(run.settings.storage)
            StorageLocation.create(label="Default", path=path, is_default=True, created_at=run.clock())
            created.append(f"storage location {path}")
        storage.publish_locations(run)
        # In the transaction: a client that is being created has its key in the file before its row is committed.
        keys = [(row.id, row.ssh_public_key) for row in Client.select().order_by(Client.id)]
        if AuthorizedKeys(run.settings.ssh_directory).rebuild(keys):
            created.append("authorized keys")
    return created


def _directories(settings: Settings) -> list[Path]:
    return [
        settings.directory,
        settings.storage,
        settings.run_directory,
        settings.temporary_directory,
        settings.log_directory,
        settings.ssh_directory,
        settings.ssh_directory / "known_hosts",
        settings.borg_directory,
    ]


def _make(path: Path) -> bool:
    if path.is_dir():
        return False
    path.mkdir(mode=0o700, parents=True)
    return True
