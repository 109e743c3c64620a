# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleted repositories whose data is still there: which there are, what opens them, and putting one back."""

from __future__ import annotations

from pathlib import Path

from bbs_server.errors import Conflict, NotFound
from bbs_server.models import Client, DeletedRepository, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, moves, names, remote_repositories, repositories, server_jobs, storage


def oldest_first() -> list[DeletedRepository]:
    """All of them."""
    return list(DeletedRepository.select().order_by(DeletedRepository.deleted_at, DeletedRepository.id))


def find(number: int) -> DeletedRepository:
    """One of them.

    :raises NotFound: unknown.
    """
    found: DeletedRepository | None = DeletedRepository.get_or_none(DeletedRepository.id == number)
    if found is None:
        raise NotFound(f"There is no deleted repository {number}: see 'bbs-server trash list'.")
    return found


def passphrase(run: Runtime, deleted: DeletedRepository) -> str | None:
    """What opens it, None when it is not encrypted.

    :raises SecretError: it does not decrypt, or did not when the repository was deleted.
    """
    if deleted.encryption == "none":
        return None
    return run.keyring.open(
        deleted.sealed_passphrase, table="deleted_repositories", column="passphrase", row=deleted.id
    )


def former_client(deleted: DeletedRepository) -> Client | None:
    """The client it belonged to, unless that is gone."""
    # SQLite gives the number of the last client again.
    found: Client | None = Client.get_or_none((Client.id == deleted.client_id) & (Client.name == deleted.client_name))
    return found


def owner(deleted: DeletedRepository, name: str | None) -> Client:
    """The client that gets it back: the one of that name, else the one it belonged to.

    :raises NotFound: there is none.
    """
    found: Client | None = former_client(deleted) if name is None else Client.get_or_none(Client.name == name)
    if found is not None:
        return found
    if name is not None:
        raise NotFound(f"There is no client {name!r}.")
    raise NotFound(f"Its client {deleted.client_name!r} is gone: create one and name it with --client.")


def restore(run: Runtime, deleted: DeletedRepository, client: Client, name: str | None) -> Repository:
    """Put one back: its folder, its row, and in a moment the records of its archives.

    :param client: whose it is from now on.
    :param name: another one than it had.
    :raises Conflict: the name or place is taken, or nothing that the server knows leads to the data.
    :raises NotFound: the data is gone.
    :raises SecretError: what would open it does not decrypt.
    :raises ServerFault: the data on another host cannot be opened.
    """
    if deleted.path.startswith("ssh://"):
        return _restore_remote(run, deleted, client, name)
    location, folder = deleted.storage_location, Path(deleted.path)
    if location is None:
        raise Conflict(f"Its data is not in a storage location: open {deleted.path} with borg and its passphrase.")
    if not (folder / "config").is_file():
        raise NotFound(f"Its data is gone: there is no repository at {folder}.")
    secret = passphrase(run, deleted)
    directory = storage.client_directory(location, client.id)
    final = directory / names.slug(names.checked(name or deleted.name))
    if final != folder:
        repositories.refuse_taken(run, location, final)
    with (
        storage.client_directory_present(run, directory),
        repositories.taking(final),
        moves.moving(run) as moving,
        run.writing(),
    ):
        repository = repositories.add_row(run, client, location, final.name, deleted.encryption, secret)
        _settle(run, deleted, repository)
        if final != folder:
            moving.move(Path(location.path), folder, final)
    return repository


def _restore_remote(run: Runtime, deleted: DeletedRepository, client: Client, name: str | None) -> Repository:
    """Put one back whose data has stayed on another host."""
    slug, secret = names.slug(names.checked(name or deleted.name)), passphrase(run, deleted)
    config = remote_repositories.config_leading_to(deleted.path, deleted.name)
    remote_repositories.refuse_recorded(deleted.path, slug)
    remote_repositories.check_opens(run, config, deleted.path, secret)
    with remote_repositories.taking(slug), run.writing():
        repository = remote_repositories.add_row(run, client, config, deleted.path, slug, deleted.encryption, secret)
        _settle(run, deleted, repository)
    return repository


def _settle(run: Runtime, deleted: DeletedRepository, repository: Repository) -> None:
    """The row of one that is back takes the place of what was kept of it; inside a transaction."""
    deleted.delete_instance()
    audit.record(run, "repository.restore", f'Repository "{repository.name}" restored.', client=repository.client)
    server_jobs.request(run, repository, "catalog_rebuild", "Its archives are being looked for.")
