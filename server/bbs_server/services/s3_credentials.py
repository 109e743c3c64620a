# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's own S3 storage, which plugin configs use with ``credential_source: global`` (admin-api.md §6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bbs_server.auth import Principal
from bbs_server.backup_plugins import rules
from bbs_server.errors import Forbidden, Invalid, NotFound
from bbs_server.models import S3Credentials, S3Link
from bbs_server.runtime import Runtime
from bbs_server.s3 import Bucket
from bbs_server.services import audit

OPEN = ("endpoint", "region", "bucket", "path_prefix")
SECRET = ("access_key", "secret_key")
REQUIRED = ("endpoint", "region", "bucket", *SECRET)

_RULES = {"endpoint": rules.storage_url, **dict.fromkeys(("region", "bucket", *SECRET), rules.plain)}


def shown(run: Runtime, caller: Principal, *, include_secrets: bool) -> dict[str, Any]:
    """Where the storage is; empty texts when there is none.

    :param include_secrets: with its keys; each such reading is noted in the audit log.
    :raises Forbidden: the token may not read secrets.
    """
    if include_secrets and not caller.token.can_read_secrets:
        raise Forbidden("include_secrets: this token may not read secrets.")
    row = _row()
    found: dict[str, Any] = {name: getattr(row, name) if row else "" for name in OPEN}
    found["configured"] = row is not None
    if include_secrets:
        audit.record(run, "s3_credentials.read_secrets", "The S3 credentials were read.", level="warning")
        found |= {name: _open(run, row, name) if row else None for name in SECRET}
    return found


def store(run: Runtime, values: Mapping[str, str | None]) -> list[str]:
    """Put the credentials in place of what was there; returns the names of the fields that were set.

    :raises Invalid: a field is missing or wrong.
    """
    given = {name: (values.get(name) or "").strip() for name in (*OPEN, *SECRET)}
    for name in REQUIRED:
        if not given[name]:
            raise Invalid(f"{name}: is required and must not be empty.")
    for name, rule in _RULES.items():
        if wanted := rule(given[name]):
            raise Invalid(f"{name}: must be {wanted}.")
    with run.writing():
        row = _row() or S3Credentials()
        for name in OPEN:
            setattr(row, name, given[name])
        row.save()
        for name in SECRET:
            sealed = run.keyring.seal(given[name], table="s3_credentials", column=name, row=row.id)
            setattr(row, f"sealed_{name}", sealed)
        row.save()
        audit.record(run, "s3_credentials.update", f"S3 credentials for the bucket {row.bucket} stored.")
    return [name for name in (*OPEN, *SECRET) if given[name]]


def clear(run: Runtime) -> int:
    """Forget the credentials and stop all copying; returns how many repositories are not copied any more."""
    with run.writing():
        S3Credentials.delete().execute()
        stopped = int(S3Link.update(enabled=False).where(S3Link.enabled).execute())
        audit.record(run, "s3_credentials.delete", "S3 credentials deleted.", level="warning")
    return stopped


def bucket(run: Runtime) -> tuple[Bucket, str]:
    """The bucket and the prefix of its keys.

    :raises NotFound: there are no credentials.
    """
    row = _row()
    if row is None:
        raise NotFound("The server has no S3 credentials: store them first, or give the plugin config its own.")
    keys = {name: _open(run, row, name) for name in SECRET}
    return Bucket(endpoint=row.endpoint, region=row.region, name=row.bucket, **keys), row.path_prefix


def _row() -> S3Credentials | None:
    found: S3Credentials | None = S3Credentials.select().order_by(S3Credentials.id).first()
    return found


def _open(run: Runtime, row: S3Credentials, name: str) -> str:
    return run.keyring.open(getattr(row, f"sealed_{name}"), table="s3_credentials", column=name, row=row.id)
