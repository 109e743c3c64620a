# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage locations: where repositories lie on this server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bbs_server.borg.keys import AuthorizedKeys
from bbs_server.clock import wire
from bbs_server.errors import Invalid, ServerFault
from bbs_server.models import Client, RemoteSshConfig, Repository, StorageLocation
from bbs_server.runtime import Runtime

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
    AuthorizedKeys(run.settings.ssh_directory).write_locations(row.path for row in rows)


def listed() -> dict[str, Any]:
    """Both kinds of storage (admin-api.md §5.7)."""
    local = StorageLocation.select().order_by(StorageLocation.label, StorageLocation.id)
    remote = RemoteSshConfig.select().order_by(RemoteSshConfig.name, RemoteSshConfig.id)
    return {"local": [_local(row) for row in local], "remote_ssh": [_remote(row) for row in remote]}


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
