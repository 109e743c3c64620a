# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copying repositories to S3 storage: what a plugin config means, trying it out, doing it (admin-api.md §7)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bbs_server.errors import ApiError
from bbs_server.models import PluginConfig, Repository, S3Link
from bbs_server.runtime import Runtime
from bbs_server.s3 import Bucket, S3Error
from bbs_server.services import plugin_configs, s3_credentials, storage

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}

_REWRITTEN = ("config", "README", "nonce", "hints.", "index.", "integrity.")
"""Borg's files outside ``data``: written anew under the same or another name, so they are always sent."""


def test(run: Runtime, config: PluginConfig) -> str | None:
    """List, write and delete in the bucket; returns the sentence that says what failed.

    A rehearsal (``dry_run``) contacts nobody.
    """
    try:
        bucket, prefix, headers, _ = _destination(run, config)
        if run.rehearsing:
            return None
        key = f"{prefix}bbs-test-{run.token_bytes(8).hex()}"
        bucket.list(key)
        with tempfile.NamedTemporaryFile(dir=run.settings.run_directory) as file:
            bucket.put(key, Path(file.name), headers, lambda _: None)
        bucket.delete(key)
    except (S3Error, ApiError) as error:
        return str(error)
    return None


def copy(run: Runtime, repository: Repository) -> str:
    """Make the copy of a repository equal to it.

    Files are sent before any is deleted, and those that name the state of the repository last, so
    that a copy cut off in the middle still holds what the one before it held.

    :raises S3Error: unreachable or refused.
    """
    link: S3Link | None = S3Link.get_or_none((S3Link.repository == repository) & S3Link.enabled)
    if link is None:
        return "The repository is not copied to S3 any more."
    try:
        bucket, prefix, headers, pause = _destination(run, link.plugin_config)
    except ApiError as error:
        raise S3Error(error.message) from error
    prefix = f"{prefix}{repository.client_id}/{repository.name}/"
    directory = storage.repository_directory(repository)
    if not (directory / "config").is_file():
        # A disk that is not mounted must not empty the copy.
        raise S3Error("The repository is missing on this server; its copy stays as it was.")
    here = {file.relative_to(directory).as_posix(): file for file in sorted(directory.rglob("*")) if file.is_file()}
    here = {name: file for name, file in here.items() if not name.startswith("lock.")}
    there = {key.removeprefix(prefix): size for key, size in bucket.list(prefix).items()}
    changed = [
        name for name, file in here.items() if name.startswith(_REWRITTEN) or there.get(name) != file.stat().st_size
    ]
    for name in sorted(changed, key=lambda name: (name.startswith(_REWRITTEN), name)):
        bucket.put(prefix + name, here[name], headers, pause)
    gone = [name for name in there if name not in here]
    for name in gone:
        bucket.delete(prefix + name)
    S3Link.update(last_sync_at=run.clock()).where(S3Link.id == link.id).execute()
    return f"{len(changed)} files were sent and {len(gone)} deleted; the copy in {bucket.name} is complete."


def _destination(run: Runtime, config: PluginConfig) -> tuple[Bucket, str, dict[str, str], Callable[[int], None]]:
    """The bucket, the prefix of keys, the headers of each object, and how fast to go.

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
    return bucket, joined, _headers(values), _limited(values.get("bandwidth_limit") or "")


def _headers(values: dict[str, Any]) -> dict[str, str]:
    options = {"storage_class": "x-amz-storage-class", "sse_mode": "x-amz-server-side-encryption"}
    return {header: values[option] for option, header in options.items() if values.get(option)}


def _limited(text: str) -> Callable[[int], None]:
    """Waits so long after each chunk that the limit is kept; a limit such as ``10M`` is in bytes per second."""
    number, unit = text.strip().upper().rstrip("B"), ""
    if number[-1:] in ("K", "M", "G"):
        number, unit = number[:-1], number[-1]
    per_second = int(number) * _UNITS[unit] if number.isdecimal() else 0
    return (lambda size: time.sleep(size / per_second)) if per_second else (lambda _: None)
