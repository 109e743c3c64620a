# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server doctor``: what is wrong with a server, in plain words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbs_server import durable
from bbs_server.models import Client, Repository, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.secrets import sealed
from bbs_server.secrets.key_file import SecretError
from bbs_server.services import agents, audit, recovery, repository_keys, storage

LITTLE_SPACE_BYTES = 1024**3

_PUT_BACK = "'bbs-server doctor --repair' puts the one back that belongs to the passphrase on record."

_ORPHANS = ".orphans"
"""In a storage location: folders of clients that the database does not know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    text: str


def examine(run: Runtime) -> list[Finding]:
    """Look at everything a server needs."""
    with run.database.connection_context():
        return [
            _database(run),
            _borg(),
            *_storage(),
            *_secrets(run),
            *_repositories(run),
            *_homes(),
            _authorized_keys(run),
            _host_keys(run),
        ]


def repair(run: Runtime) -> list[str]:
    """Put right what can be put right without a loss.

    :return: what was done, one sentence each.
    """
    with run.database.connection_context():
        return [*recovery.recover(run), *_move_strangers(run), *_make_homes(run), *_put_keys_back(run)]


def _move_strangers(run: Runtime) -> Iterator[str]:
    with run.writing():
        for location, folder in list(recovery.strangers()):
            target = location / _ORPHANS / f"{run.clock():%Y%m%dT%H%M%SZ}-{folder.name}"
            if not target.parent.is_dir():
                durable.make_folder(target.parent, 0o700)
            durable.rename(folder, target)
            sentence = f"{folder}, which belongs to no client, was moved to {target}."
            audit.record(run, "server.repair", sentence, level="warning")
            yield sentence


def _make_homes(run: Runtime) -> Iterator[str]:
    with run.writing():
        for folder in _missing_homes():
            durable.make_folder(folder, 0o750)
            sentence = f"{folder}, the folder of a client, was made."
            audit.record(run, "server.repair", sentence, level="warning")
            yield sentence


def _put_keys_back(run: Runtime) -> Iterator[str]:
    for repository in _local():
        with suppress(SecretError):  # told by the examination
            if repository_keys.is_replaced(run, repository):
                yield repository_keys.put_back(run, repository)


def _local() -> list[Repository]:
    return list(Repository.select().where(Repository.storage_type == "local").order_by(Repository.id))


def _missing_homes() -> list[Path]:
    """Folders of clients that are not there; none when the whole location is not, as a disk that is not mounted."""
    location = storage.home()
    if not any(Path(location.path).glob(recovery.CLIENTS)):
        return []
    folders = (storage.client_directory(location, client.id) for client in Client.select(Client.id).order_by(Client.id))
    return [folder for folder in folders if not folder.is_dir()]


def _database(run: Runtime) -> Finding:
    clients = Client.select().count()
    holds = f"{clients} client(s), {Repository.select().count()} repositories"
    return Finding(True, f"The database answers: {holds} ({run.database.describe()}).")


def _borg() -> Finding:
    program = shutil.which("borg")
    if program is None:
        return Finding(False, "borg is not installed: install the package borgbackup.")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding(True, f"{version} at {program}.")


def _storage() -> Iterator[Finding]:
    for location in StorageLocation.select():
        try:
            free = shutil.disk_usage(location.path).free
        except OSError as error:
            yield Finding(False, f"The storage location {location.path} cannot be used: {error.strerror}.")
            continue
        enough = free >= LITTLE_SPACE_BYTES
        advice = "" if enough else " Free some space: backups fail on a full disk."
        yield Finding(enough, f"{free // 1024**2} MiB are free in {location.path}.{advice}")


def _secrets(run: Runtime) -> Iterator[Finding]:
    closed = sum(
        not _opens(run, text, table=model._meta.table_name, column=column, row=row.id)
        for model in sealed.tables()
        for row in model.select().iterator()
        for column, text in sealed.values(row).items()
    )
    if closed:
        advice = "It does not belong to this database: put the right one back, from a backup of the server."
        yield Finding(False, f"{closed} stored secret(s) do not open with {run.settings.key_file}. {advice}")


def _opens(run: Runtime, text: str, **place: Any) -> bool:
    try:
        run.keyring.open(text, **place)
    except SecretError:
        return False
    return True


def _repositories(run: Runtime) -> Iterator[Finding]:
    for repository in _local():
        directory = storage.repository_directory(repository)
        if not (directory / "config").is_file():
            yield Finding(False, f"The repository {repository.name} (id {repository.id}) is missing at {directory}.")
        with suppress(SecretError):  # told by _secrets
            if repository_keys.is_replaced(run, repository):
                yield Finding(False, f"The key in {directory} was replaced, by the client or by hand: {_PUT_BACK}")
    yield from _orphans()


def _orphans() -> Iterator[Finding]:
    for _, folder in recovery.strangers():
        yield Finding(False, f"{folder} belongs to no client: 'bbs-server doctor --repair' moves it to {_ORPHANS}.")


def _homes() -> Iterator[Finding]:
    for folder in _missing_homes():
        yield Finding(False, f"{folder}, the folder of a client, is missing: its agent cannot get in.")


def _authorized_keys(run: Runtime) -> Finding:
    file = run.settings.ssh_directory / "authorized_keys"
    listed = len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
    clients = Client.select().count()
    if listed != clients:
        return Finding(False, f"{file} lets in {listed} client(s) of {clients}: run 'bbs-server doctor --repair'.")
    return Finding(True, f"{file} lets in all {clients} client(s).")


def _host_keys(run: Runtime) -> Finding:
    found = len(agents.host_keys(run))
    if not found:
        return Finding(False, "No SSH host keys were found: agents cannot verify this server.")
    return Finding(True, f"{found} SSH host key(s) are handed to agents.")
