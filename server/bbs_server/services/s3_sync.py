# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copying repositories to S3 storage: what a plugin config means, trying it out, doing it (admin-api.md §7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbs_server import temporary
from bbs_server.errors import ApiError
from bbs_server.models import PluginConfig, Repository, S3Link
from bbs_server.runtime import Runtime
from bbs_server.s3 import Bucket, S3Error
from bbs_server.services import plugin_configs, s3_credentials, storage

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}

_REWRITTEN = ("config", "README", "nonce", "hints.", "index.", "integrity.")
"""Borg's files outside ``data``: written anew under the same or another name, so they are always sent."""


@dataclass(frozen=True)
class Destination:
    """Where copies go.

    :param prefix: of all keys; empty or with a slash at its end.
    :param options: of every object.
    :param bytes_per_second: None: as fast as it goes.
    """

    bucket: Bucket
    prefix: str
    options: dict[str, str]
    bytes_per_second: int | None


def test(run: Runtime, config: PluginConfig) -> str | None:
    """List, write and delete in the bucket; returns the sentence that says what failed.

    A rehearsal (``dry_run``) contacts nobody.
    """
    try:
        target = _destination(run, config)
        if run.rehearsing:
            return None
        key = f"{target.prefix}bbs-test-{run.token_bytes(8).hex()}"
        target.bucket.list(key)
        with (
            temporary.folder(run.settings.temporary_directory) as folder,
            target.bucket.uploading(target.options) as upload,
        ):
            (folder / "test").touch()
            upload.put(key, folder / "test")
        target.bucket.delete(key)
    except (S3Error, ApiError) as error:
        return str(error)
    return None


def copy(run: Runtime, repository: Repository, go_on: Callable[[], None]) -> str:
    """Make the copy of a repository equal to it, and see that it is.

    Files are sent before any is deleted, and those that name the state of the repository last, so
    that a copy cut off in the middle still holds what the one before it held. The next one sends
    what is missing.

    :param go_on: called before each file; raises when nobody wants the copy any more.
    :raises S3Error: unreachable or refused, or the copy is not what it should be.
    """
    link: S3Link | None = S3Link.get_or_none((S3Link.repository == repository) & S3Link.enabled)
    if link is None:
        return "The repository is not copied to S3 any more."
    try:
        target = _destination(run, link.plugin_config)
    except ApiError as error:
        raise S3Error(error.message) from error
    prefix = f"{target.prefix}{repository.client_id}/{repository.name}/"
    here = _files(storage.repository_directory(repository))
    there = _copied(target.bucket, prefix)
    changed = [name for name, file in here.items() if name.startswith(_REWRITTEN) or there.get(name) != _size(file)]
    with target.bucket.uploading(target.options, target.bytes_per_second) as upload:
        for name in sorted(changed, key=lambda name: (name.startswith(_REWRITTEN), name)):
            go_on()
            upload.put(prefix + name, here[name])
    gone = [name for name in there if name not in here]
    for name in gone:
        go_on()
        target.bucket.delete(prefix + name)
    if _copied(target.bucket, prefix) != {name: _size(file) for name, file in here.items()}:
        raise S3Error(f"The copy in {target.bucket.name} is not what was sent: something else writes there.")
    S3Link.update(last_sync_at=run.clock()).where(S3Link.id == link.id).execute()
    return f"{len(changed)} files were sent and {len(gone)} deleted; the copy in {target.bucket.name} is complete."


def _files(directory: Path) -> dict[str, Path]:
    """The files of a repository by their relative path, without locks."""
    if not (directory / "config").is_file():
        # A disk that is not mounted must not empty the copy.
        raise S3Error("The repository is missing on this server; its copy stays as it was.")
    found = {file.relative_to(directory).as_posix(): file for file in sorted(directory.rglob("*")) if file.is_file()}
    return {name: file for name, file in found.items() if not name.startswith("lock.")}


def _size(file: Path) -> int:
    return file.stat().st_size


def _copied(bucket: Bucket, prefix: str) -> dict[str, int]:
    return {key.removeprefix(prefix): size for key, size in bucket.list(prefix).items()}


def _destination(run: Runtime, config: PluginConfig) -> Destination:
    """What a configuration means.

    :raises ApiError: the server has no credentials of its own.
    """
    values = plugin_configs.opened(run, config)
    if values.get("credential_source") == "custom":
        bucket = Bucket(
            endpoint=values.get("endpoint") or f"https://s3.{values['region']}.amazonaws.com",
            region=values["region"],
            name=values["bucket"],
            access_key=values["access_key"],
            secret_key=values["secret_key"],
        )
        prefix = ""
    else:
        bucket, prefix = s3_credentials.bucket(run)
    parts = [part.strip("/") for part in (prefix, values.get("path_prefix") or "")]
    joined = "".join(f"{part}/" for part in parts if part)
    return Destination(bucket, joined, _options(values), _per_second(values.get("bandwidth_limit") or ""))


def _options(values: dict[str, Any]) -> dict[str, str]:
    names = {"storage_class": "StorageClass", "sse_mode": "ServerSideEncryption"}
    return {name: values[option] for option, name in names.items() if values.get(option)}


def _per_second(text: str) -> int | None:
    """Bytes per second from a limit such as ``10M``; None: no limit."""
    number, unit = text.strip().upper().rstrip("B"), ""
    if number[-1:] in ("K", "M", "G"):
        number, unit = number[:-1], number[-1]
    return (int(number) * _UNITS[unit] or None) if number.isdecimal() else None
