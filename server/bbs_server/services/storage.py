# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage locations: where repositories lie on this server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bbs_server import durable
from bbs_server.borg.keys import AuthorizedKeys
from bbs_server.clock import wire
from bbs_server.errors import Conflict, Invalid, NotFound, ServerFault, Unprocessable
from bbs_server.models import Client, RemoteSshConfig, Repository, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.services import audit, names

GIGABYTE = 1024**3


def home() -> StorageLocation:
    """The first location: the one that ``ssh://…/./name`` is relative to, whatever the default is now."""
    found: StorageLocation | None = StorageLocation.select().order_by(StorageLocation.id).first()
    if found is None:
        raise ServerFault("The server has no storage location: run 'bbs-server init'.")
    return found


def choose(location_id: int | None) -> StorageLocation:
    """The location of a new repository: the named one, else the default.

    :raises Invalid: no such location.
    """
    if location_id is None:
        default: StorageLocation | None = StorageLocation.get_or_none(StorageLocation.is_default)
        return default or home()
    found: StorageLocation | None = StorageLocation.get_or_none(StorageLocation.id == location_id)
    if found is None:
        raise Invalid(f"storage_location_id: there is no storage location {location_id}.")
    return found


def client_directory(location: StorageLocation, client_id: int) -> Path:
    """The folder of one client in a location."""
    return Path(location.path) / str(client_id)


@contextmanager
def client_directory_present(run: Runtime, directory: Path) -> Iterator[None]:
    """A client's folder in a location, made if need be; taken back when what needs it fails."""
    made = not directory.is_dir()
    if made:
        with suppress(FileExistsError):  # another request was quicker
            run.act(durable.make_folder, directory, 0o750)
    try:
        yield
    except BaseException:
        if made:
            with suppress(OSError):  # another request uses it by now
                directory.rmdir()
        raise


def location_of(repository: Repository) -> StorageLocation:
    """The location of a local repository; every local repository has one."""
    location = repository.storage_location
    if location is None:
        raise ServerFault(f"The repository {repository.name} is not on this server.")
    return location


def repository_directory(repository: Repository) -> Path:
    """Where a local repository lies."""
    return client_directory(location_of(repository), repository.client_id) / repository.name


def repository_url(run: Runtime, location: StorageLocation, client: Client, slug: str) -> str:
    """The URL under which a client's agent reaches a repository (admin-api.md §5.2)."""
    prefix = f"ssh://{run.settings.account}@{run.settings.server_host}/"
    if location.id == home().id:
        return f"{prefix}./{slug}"
    return f"{prefix}/{client_directory(location, client.id).as_posix().lstrip('/')}/{slug}"


def publish_locations(run: Runtime) -> None:
    """Tell the gate which locations there are."""
    rows = StorageLocation.select().order_by(StorageLocation.id)
    run.act(AuthorizedKeys(run.settings.ssh_directory).write_locations, [row.path for row in rows])


def find(location_id: int) -> StorageLocation:
    """One location.

    :raises NotFound: unknown.
    """
    found: StorageLocation | None = StorageLocation.get_or_none(StorageLocation.id == location_id)
    if found is None:
        raise NotFound("Storage location not found.")
    return found


def create(run: Runtime, *, label: str | None, path: str | None, is_default: bool) -> StorageLocation:
    """Add a location: an existing folder in which the server may write.

    :raises Invalid: no label, or a path that cannot be a location.
    :raises Conflict: the label is taken, or the folder is, holds or lies in a location already.
    """
    label, folder = names.checked(label or "", "label"), _checked_folder(path or "")
    with _changing(run):
        _refuse_taken(label)
        for other in StorageLocation.select():
            _refuse_overlap(folder, Path(other.path))
        if is_default:
            StorageLocation.update(is_default=False).execute()
        location: StorageLocation = StorageLocation.create(
            label=label, path=str(folder), is_default=is_default, created_at=run.clock()
        )
        audit.record(run, "storage.create", f'Storage location "{label}" created at {folder}.')
    return location


def update(run: Runtime, location: StorageLocation, values: Mapping[str, Any]) -> StorageLocation:
    """Change label, default or stated capacity.

    :param values: ``capacity_bytes`` null or 0: measure instead.
    :raises Unprocessable: nothing to change, or a change that is not possible.
    :raises Conflict: the label is taken.
    """
    if not values:
        raise Unprocessable("No fields to update: send label, is_default or capacity_bytes.")
    if values.get("path", location.path) != location.path:
        raise Unprocessable("path: cannot be changed; add another location.")
    if not values.get("label", "unchanged").strip():
        raise Unprocessable("label: must not be empty.")
    if location.is_default and values.get("is_default") is False:
        raise Unprocessable("is_default: make another location the default instead.")
    with run.writing():
        label = names.checked(values.get("label", location.label), "label")
        if label != location.label:
            _refuse_taken(label)
            location.label = label
        if "capacity_bytes" in values:
            location.capacity_bytes = values["capacity_bytes"] or None
        if values.get("is_default"):
            StorageLocation.update(is_default=False).execute()
            location.is_default = True
        location.save()
        audit.record(run, "storage.update", f'Storage location "{location.label}" updated.')
    return location


def delete(run: Runtime, location: StorageLocation) -> None:
    """Forget a location; the folder and what is in it stay.

    :raises Conflict: repositories lie there, it is the default, or the one that agents' URLs start at.
    """
    with _changing(run):
        used = [row.name for row in location.repositories.order_by(Repository.name, Repository.id)]
        if used:
            raise Conflict(
                f"{len(used)} repositories lie in this location.", reason="repositories_attached", repositories=used
            )
        if location.is_default:
            raise Conflict("The default location cannot be deleted: make another one the default.", reason="default")
        if location.id == home().id:
            raise Conflict("The first location holds every client's home folder and stays.", reason="home")
        location.delete_instance()
        audit.record(run, "storage.delete", f'Storage location "{location.label}" removed; its data stays.')


def capacity() -> dict[str, Any]:
    """How full the default location is (admin-api.md §5.7).

    :raises ServerFault: its folder cannot be looked at.
    """
    total, used, free, _, unknown = _capacity(choose(None))
    if unknown:
        raise ServerFault(unknown)
    return {"provisioned_bytes": total, "used_bytes": used, "free_bytes": free}


def listed() -> dict[str, Any]:
    """Both kinds of storage (admin-api.md §5.7)."""
    local = StorageLocation.select().order_by(names.alphabetically(StorageLocation.label), StorageLocation.id)
    remote = RemoteSshConfig.select().order_by(names.alphabetically(RemoteSshConfig.name), RemoteSshConfig.id)
    return {"local": [_local(row) for row in local], "remote_ssh": [_remote(row) for row in remote]}


@contextmanager
def _changing(run: Runtime) -> Iterator[None]:
    """A transaction that changes locations; the gate's list says the same as the database before and after."""
    try:
        with run.writing():
            yield
            publish_locations(run)
    except BaseException:
        with suppress(OSError):
            publish_locations(run)
        raise


def _checked_folder(path: str) -> Path:
    if not path.strip():
        raise Invalid("path: is required and must not be empty.")
    if not path.startswith("/") or not path.isprintable():
        raise Invalid("path: must be an absolute path without line breaks or control characters.")
    # Borg takes "::" for the end of a path and braces for something to fill in.
    if any(sign in path for sign in ("::", "{", "}")):
        raise Invalid("path: must not hold ::, { or }, which mean something to borg.")
    folder = Path(os.path.normpath(path))
    try:
        usable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # a name the file system cannot hold
        usable = False
    if not usable:
        raise Invalid("path: must be an existing directory that the server can write to.")
    return folder


def _refuse_taken(label: str) -> None:
    # Repositories say by this name where they shall lie.
    if StorageLocation.select().where(StorageLocation.label == label).exists():
        raise Conflict(f'A storage location named "{label}" already exists.', reason="name_taken")


def _refuse_overlap(folder: Path, other: Path) -> None:
    mine, theirs = folder.resolve(), other.resolve()
    if mine == theirs:
        raise Conflict("path: this directory is a storage location already.", reason="path_taken")
    if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
        raise Conflict(f"path: must not hold or lie in the storage location {other}.", reason="path_taken")


def _local(row: StorageLocation) -> dict[str, Any]:
    total, used, free, source, unknown = _capacity(row)
    return {
        "id": row.id,
        "name": row.label,
        "path": row.path,
        "capacity_bytes": row.capacity_bytes,
        "is_default": int(row.is_default),
        "created_at": wire(row.created_at),
        "capacity_source": source,
        "capacity_unknown_reason": unknown,
        "total_bytes": total,
        "used_bytes": used,
        "free_bytes": free,
        **_in_gigabytes(total, used, free),
    }


def _capacity(row: StorageLocation) -> tuple[int | None, int | None, int | None, str | None, str | None]:
    try:
        usage = shutil.disk_usage(row.path)
    except OSError as error:
        return None, None, None, None, f"Cannot look at {row.path}: {error.strerror}."
    if row.capacity_bytes:
        return row.capacity_bytes, usage.used, max(0, row.capacity_bytes - usage.used), "stated", None
    return usage.total, usage.used, usage.free, "df", None


def _remote(row: RemoteSshConfig) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "provider": row.provider,
        "remote_host": row.remote_host,
        "remote_port": row.remote_port,
        "remote_user": row.remote_user,
        "remote_base_path": row.remote_base_path,
        "borg_remote_path": row.borg_remote_path,
        "append_repo_name": int(row.append_repo_name),
        "disk_total_bytes": row.disk_total_bytes,
        "disk_used_bytes": row.disk_used_bytes,
        "disk_free_bytes": row.disk_free_bytes,
        "disk_checked_at": wire(row.disk_checked_at),
        "created_at": wire(row.created_at),
        **_in_gigabytes(row.disk_total_bytes, row.disk_used_bytes, row.disk_free_bytes),
    }


def _in_gigabytes(total: int | None, used: int | None, free: int | None) -> dict[str, Any]:
    def rounded(size: int | None) -> float | None:
        return None if size is None else round(size / GIGABYTE, 2)

    return {
        "total_size_gb": rounded(total),
        "current_usage_gb": rounded(used),
        "free_space_gb": rounded(free),
        "usage_percentage": round(100 * used / total) if total and used is not None else None,
    }
