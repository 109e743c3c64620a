# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories: real borg repositories, created before they are recorded (admin-api.md §5.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import peewee
from peewee import fn

from bbs_server.borg.command import ENCRYPTIONS, BorgError
from bbs_server.clock import wire
from bbs_server.db.statements import Statement, slot
from bbs_server.errors import Conflict, Invalid, NotFound, ServerFault
from bbs_server.models import Archive, Client, Job, RemoteSshConfig, Repository, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.secrets.key_file import SecretError
from bbs_server.services import audit, drafts, ids, moves, names, recovery, s3_links, storage, trash

logger = logging.getLogger(__name__)

DEFAULT_ENCRYPTION = "repokey-blake2"

LOCK_PREFIX = "locked."
"""A locked archive bears this before its name; no plan's prune matches it (admin-api.md §5.3)."""


def find(client: Client, repository_id: int) -> Repository:
    """One repository of a client.

    :raises NotFound: unknown, or another client's.
    """
    found: Repository | None = client.repositories.where(Repository.id == repository_id).first()
    if found is None:
        raise NotFound("Repository not found.")
    return found


def listed(client: Client, name: str | None = None) -> list[dict[str, Any]]:
    """A client's repositories by name; with ``name`` at most those that such a name leads to."""
    rows: list[Repository] = _LISTED.rows(client=client.id)
    if name is not None:
        rows = [row for row in rows if row.name == names.slug(name)]
    archive_count: dict[int, int] = dict(_ARCHIVES.rows(client=client.id))
    links = s3_links.states(client.id)
    return [summary(row, archive_count.get(row.id, 0), links.get(row.id)) for row in rows]


def of_clients(clients: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What :func:`listed` tells of each of these clients, and maybe of some between them."""
    own = ids.among(Repository.client, clients)
    archives: Any = Archive.select(Archive.repository, fn.COUNT(Archive.id)).join(Repository).where(own)
    counts: dict[int, int] = dict(archives.group_by(Archive.repository).tuples())
    links = s3_links.states_of(own)
    found: dict[int, list[dict[str, Any]]] = {}
    for row in with_places(Repository.select(*COLUMNS)).where(own).order_by(Repository.name, Repository.id):
        found.setdefault(row.client_id, []).append(summary(row, counts.get(row.id, 0), links.get(row.id)))
    return found


def shown(repository: Repository) -> dict[str, Any]:
    """One repository as it stands in lists."""
    link = s3_links.states(repository.client_id).get(repository.id)
    return summary(repository, repository.archives.count(), link)


def summary(repository: Repository, archive_count: int, link: s3_links.State | None) -> dict[str, Any]:
    """The fields that every reading of a repository has."""
    link = link or s3_links.State()
    return {
        "id": repository.id,
        "name": repository.name,
        "path": repository.path,
        "encryption": repository.encryption,
        "storage_type": repository.storage_type,
        "size_bytes": repository.size_bytes,
        "archive_count": archive_count,
        "created_at": wire(repository.created_at),
        "s3_sync_enabled": link.enabled,
        "s3_last_sync_at": wire(link.last_sync_at),
        **_place(repository),
    }


COLUMNS = (Repository, StorageLocation, RemoteSshConfig)
"""What a selection reads, so that :func:`summary` need not ask for each repository's place."""


def with_places(rows: peewee.ModelSelect[Repository]) -> peewee.ModelSelect[Repository]:
    """A selection of repositories, each with the place where it lies."""
    outer = peewee.JOIN.LEFT_OUTER
    return rows.join_from(Repository, StorageLocation, outer).join_from(Repository, RemoteSshConfig, outer)


_LISTED = Statement(
    lambda: (
        with_places(Repository.select(*COLUMNS))
        .where(Repository.client == slot("client"))
        .order_by(Repository.name, Repository.id)
    )
)
_ARCHIVES = Statement(
    lambda: (
        Archive.select(Archive.repository, fn.COUNT(Archive.id))
        .join(Repository)
        .where(Repository.client == slot("client"))
        .group_by(Archive.repository)
        .tuples()
    )
)


def _place(repository: Repository) -> dict[str, Any]:
    location, config = repository.storage_location, repository.remote_ssh_config
    return {
        "storage_location_id": location and location.id,
        "storage_location_name": location and location.label,
        "remote_ssh_config_id": config and config.id,
        "remote_ssh_config_name": config and config.name,
    }


def create(
    run: Runtime,
    client: Client,
    *,
    name: str,
    encryption: str | None = None,
    passphrase: str | None = None,
    storage_location_id: int | None = None,
) -> dict[str, Any]:
    """Create a borg repository for a client on this server.

    Borg works beside the final place, so that no transaction is held while it does and a failure
    leaves nothing behind.

    :param passphrase: generated when empty; not used with the encryption ``none``.
    :return: the repository with its passphrase, which is shown this once.
    :raises Conflict: the client has a repository of that name in that location.
    :raises ServerFault: ``borg init`` failed.
    """
    encryption = DEFAULT_ENCRYPTION if encryption is None else encryption
    if encryption not in ENCRYPTIONS:
        raise Invalid(f"encryption: must be one of {', '.join(ENCRYPTIONS)}.")
    location = storage.choose(storage_location_id)
    slug = names.slug(names.checked(name))
    secret = None if encryption == "none" else passphrase or generate_passphrase(run)
    directory = storage.client_directory(location, client.id)
    refuse_taken(run, location, directory / slug)
    with storage.client_directory_present(run, directory), drafts.draft(run, directory) as fresh:
        _initialise(run, fresh, encryption, secret)
        repository = _record(run, client, location, directory / slug, encryption, secret, fresh)
    created = {
        "id": repository.id,
        "name": slug,
        "path": repository.path,
        "encryption": encryption,
        "storage_type": "local",
    }
    return created | ({"passphrase": secret} if secret else {})


def rename(run: Runtime, repository: Repository, name: str) -> Repository:
    """Give a repository another name and move its folder.

    :raises Conflict: the name is taken, or jobs are active.
    :raises ServerFault: the folder cannot be moved.
    """
    slug = names.slug(names.checked(name))
    if slug == repository.name:
        return repository
    if repository.storage_type != "local":
        raise Invalid("name: a repository on a remote SSH host cannot be renamed.")
    _refuse_active(repository, f'Cannot rename "{repository.name}" while jobs are active.')
    location, old = storage.location_of(repository), storage.repository_directory(repository)
    new = old.with_name(slug)
    refuse_taken(run, location, new)
    with taking(new), moves.moving(run) as moving, run.writing():
        audit.record(
            run,
            "repository.update",
            f'Repository "{repository.name}" renamed to "{slug}".',
            client=repository.client,
        )
        repository.name = slug
        repository.path = storage.repository_url(run, location, repository.client, slug)
        repository.save(only=[Repository.name, Repository.path])
        moving.move(Path(location.path), old, new)
    return repository


def delete(run: Runtime, repository: Repository, *, keep_data: bool) -> None:
    """Remove a repository; its data goes to the trash, or stays where it is with ``keep_data``.

    Data on a remote SSH host always stays.

    :raises Conflict: archives are locked, plans use it, or jobs are active.
    """
    refuse_locked(Repository.id == repository.id)
    plans = [{"id": plan.id, "name": plan.name} for plan in repository.plans]
    if plans:
        raise Conflict(
            f"The repository is used by {len(plans)} plan(s): delete them first.",
            reason="plans_attached",
            plans=plans,
        )
    _refuse_active(repository, "The repository has active jobs: wait for them or cancel them.")
    with moves.moving(run) as moving, run.writing():
        repository.delete_instance()
        kept = " Its data was kept." if keep_data else ""
        audit.record(
            run, "repository.delete", f'Repository "{repository.name}" deleted.{kept}', client=repository.client
        )
        place: Path | str = repository.path
        if repository.storage_type == "local":
            location, place = Path(storage.location_of(repository).path), storage.repository_directory(repository)
            if keep_data:
                # Without its row, a mark would mean that it was not finished.
                run.act(moves.unmark, place)
            else:
                place = trash.discard(run, moving, location, place)
        remember(run, repository, place)


def remember(run: Runtime, repository: Repository, place: Path | str) -> None:
    """Keep what opens a repository that is being deleted.

    :param place: where its data is from now on.
    """
    secret = None
    with suppress(SecretError):  # what opened nothing before will not do so later
        secret = passphrase(run, repository)
    trash.remember(run, repository, place, secret)


def refuse_locked(which: peewee.Expression) -> None:
    """Refuse to remove repositories with locked archives.

    :raises Conflict: there are some.
    """
    locked = Archive.select().join(Repository).where(which & Archive.name.startswith(LOCK_PREFIX)).count()
    if locked:
        raise Conflict(
            f"{locked} archive(s) are locked: unlock them first.", reason="locked_archives", locked_archives=locked
        )


def passphrase(run: Runtime, repository: Repository) -> str | None:
    """The repository's passphrase, None when it is not encrypted."""
    if repository.sealed_passphrase is None:
        return None
    return run.keyring.open(repository.sealed_passphrase, table="repositories", column="passphrase", row=repository.id)


def measure(repository: Repository) -> None:
    """Record how much disk a local repository occupies."""
    directory = storage.repository_directory(repository)
    size = sum(file.lstat().st_size for file in directory.rglob("*") if file.is_file())
    Repository.update(size_bytes=size, size_is_stale=False).where(Repository.id == repository.id).execute()


def _initialise(run: Runtime, fresh: Path, encryption: str, secret: str | None) -> None:
    try:
        run.act(run.borg.init, fresh, encryption, secret)
    except BorgError as error:
        logger.error("borg init failed: %s", error)
        told = " ".join(str(error).splitlines())
        raise ServerFault(f"Borg could not create the repository: {told}") from error


def _record(
    run: Runtime,
    client: Client,
    location: StorageLocation,
    final: Path,
    encryption: str,
    secret: str | None,
    fresh: Path,
) -> Repository:
    with taking(final), moves.moving(run) as moving, run.writing():
        repository = add_row(run, client, location, final.name, encryption, secret)
        audit.record(run, "repository.create", f'Repository "{repository.name}" created.', client=client)
        moving.move(Path(location.path), fresh, final)
    return repository


def add_row(
    run: Runtime, client: Client, location: StorageLocation, slug: str, encryption: str, secret: str | None
) -> Repository:
    """Record a local repository, inside a transaction."""
    repository: Repository = Repository.create(
        client=client,
        name=slug,
        encryption=encryption,
        storage_type="local",
        storage_location=location,
        path=storage.repository_url(run, location, client, slug),
        size_is_stale=True,
        created_at=run.clock(),
    )
    keep_passphrase(run, repository, secret)
    return repository


def keep_passphrase(run: Runtime, repository: Repository, secret: str | None) -> None:
    """Seal what opens a new repository, if anything has to; inside a transaction."""
    if secret:
        repository.sealed_passphrase = run.keyring.seal(
            secret, table="repositories", column="passphrase", row=repository.id
        )
        repository.save(only=[Repository.sealed_passphrase])


@contextmanager
def taking(final: Path) -> Iterator[None]:
    """Around putting a repository in its place: why that failed, in a sentence.

    :raises Conflict: another request was quicker.
    :raises ServerFault: the file system refuses.
    """
    try:
        yield
    except peewee.IntegrityError as error:
        raise _taken(final.name) from error
    except OSError as error:
        if final.exists():
            raise _taken(final.name) from error
        raise ServerFault(f"The repository could not be put in its place: {error.strerror or error}.") from error


def generate_passphrase(run: Runtime) -> str:
    """Five groups of four uppercase hex digits (admin-api.md §5.2)."""
    digits = run.token_bytes(10).hex().upper()
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def _refuse_active(repository: Repository, message: str) -> None:
    if repository.jobs.where(Job.status.in_(states.ACTIVE)).exists():
        raise Conflict(message, reason="active_jobs")


def refuse_taken(run: Runtime, location: StorageLocation, directory: Path) -> None:
    """Refuse a place that something else has.

    :raises Conflict: it has.
    """
    if directory.exists() and not recovery.freed(run, Path(location.path), directory):
        raise _taken(directory.name)


def _taken(slug: str) -> Conflict:
    return Conflict(f'A repository already exists at the path of "{slug}": choose a different name.')
