# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file with the keys that seal secrets: one ``identifier:base64-key`` per line, the last one seals.

It is only ever replaced as a whole, so that whoever reads it sees the old keys or the new ones.
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from bbs_server import durable

KEY_BYTES = 32


class SecretError(Exception):
    """A key file is missing or unusable, or a stored value does not decrypt."""


def create(file: Path) -> bool:
    """Create the file with a first key unless it exists. Returns whether it was created."""
    try:
        _write(file, _line(*_new_key()), os.O_EXCL)
    except FileExistsError:
        return False
    return True


def read(file: Path) -> dict[str, bytes]:
    """All keys by their identifiers, oldest first.

    :raises SecretError: missing, readable by others, or malformed.
    """
    try:
        mode, lines = file.stat().st_mode, file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"Cannot read the key file {file}. Run 'bbs-server init' first.") from error
    if mode & 0o077:
        raise SecretError(f"The key file {file} is readable by others. Run: chmod 600 {file}")
    try:
        pairs = [line.split(":", 1) for line in lines if line.strip()]
        keys = {identifier: base64.b64decode(text, validate=True) for identifier, text in pairs}
    except ValueError as error:
        raise SecretError(f"The key file {file} is malformed.") from error
    if not keys:
        raise SecretError(f"The key file {file} holds no key.")
    if any(len(key) != KEY_BYTES for key in keys.values()):
        raise SecretError(f"The key file {file} holds a key of the wrong length.")
    return keys


def add(file: Path) -> str:
    """Add a new key, which seals from now on.

    :return: its identifier.
    :raises SecretError: unusable file.
    """
    identifier, key = _new_key()
    _replace(file, read(file) | {identifier: key})
    return identifier


def keep_last(file: Path) -> int:
    """Remove all keys but the last; returns how many were removed.

    :raises SecretError: unusable file.
    """
    keys = read(file)
    last = list(keys)[-1]
    if len(keys) > 1:
        _replace(file, {last: keys[last]})
    return len(keys) - 1


def _new_key() -> tuple[str, bytes]:
    return secrets.token_hex(4), secrets.token_bytes(KEY_BYTES)


def _line(identifier: str, key: bytes) -> str:
    return f"{identifier}:{base64.b64encode(key).decode()}\n"


def _replace(file: Path, keys: dict[str, bytes]) -> None:
    fresh = file.with_name(f"{file.name}.new")
    _write(fresh, "".join(_line(*item) for item in keys.items()), os.O_TRUNC)
    durable.replace(fresh, file)


def _write(file: Path, text: str, flag: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    durable.settle(file.parent)
