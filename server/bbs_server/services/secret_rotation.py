# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new key for all stored secrets, while the server runs, and however often it is interrupted.

The new key stands in the file before the first secret is sealed with it, and the old ones leave the
file only when nothing is sealed with them. So at any moment the file opens everything, and a
rotation that was interrupted is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bbs_server.models import Table
from bbs_server.runtime import Runtime
from bbs_server.secrets import key_file, sealed
from bbs_server.services import audit

_BATCH = 100
"""Rows in one transaction: others write in between."""


@dataclass(frozen=True)
class Rotation:
    """What was done."""

    resumed: bool
    """Whether it finished an earlier one that was interrupted, with that one's key."""

    resealed: int
    """Secrets that were encrypted anew."""

    removed: int
    """Old keys that were removed from the file."""


def rotate(run: Runtime, tell: Callable[[int], None] = lambda _: None) -> Rotation:
    """Seal all secrets with a new key and remove the old ones.

    :param tell: called with the number of secrets done so far.
    :raises SecretError: the key file is unusable, or a secret does not decrypt; nothing is lost then.
    """
    resumed = len(key_file.read(run.settings.key_file)) > 1
    if not resumed:
        key_file.add(run.settings.key_file)
    resealed = 0
    while behind := list(_behind(run)):
        for start in range(0, len(behind), _BATCH):
            with run.writing():
                resealed += sum(_reseal(run, model, row_id) for model, row_id in behind[start : start + _BATCH])
            tell(resealed)
    with run.writing():
        # Secrets are sealed in such transactions only: nobody seals with an old key between these lines.
        resealed += sum(_reseal(run, model, row_id) for model, row_id in list(_behind(run)))
        audit.record(run, "secrets.rotate", f"{resealed} secret(s) sealed with a new key.")
    return Rotation(resumed, resealed, key_file.keep_last(run.settings.key_file))


def _behind(run: Runtime) -> Iterator[tuple[type[Table], int]]:
    """Rows with a secret that another key than the newest has sealed."""
    newest = f"{run.keyring.sealing}:"
    for model in sealed.tables():
        for row in model.select().order_by(model.id).iterator():
            if not all(text.startswith(newest) for text in sealed.values(row).values()):
                yield model, row.id


def _reseal(run: Runtime, model: type[Table], row_id: int) -> int:
    """Seal what one row holds anew; returns how many secrets that were. The row may be gone by now."""
    row = model.get_or_none(model.id == row_id)
    if row is None:
        return 0
    table, old = model._meta.table_name, sealed.values(row)
    opened = {name: run.keyring.open(text, table=table, column=name, row=row_id) for name, text in old.items()}
    sealed.replace(
        row, {name: run.keyring.seal(text, table=table, column=name, row=row_id) for name, text in opened.items()}
    )
    return len(opened)
