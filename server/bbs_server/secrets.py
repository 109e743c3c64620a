# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets at rest: AES-256-GCM, bound to the table, column and row they belong to."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretError(Exception):
    """A key file is missing or unusable, or a stored value does not decrypt."""


class Keyring:
    """The keys that seal secrets. The last key of the file seals; every key opens."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise SecretError("The key file holds no key.")
        self._ciphers = {identifier: AESGCM(key) for identifier, key in keys.items()}
        self._sealing = list(keys)[-1]

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a key file: one ``identifier:base64-key`` per line.

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
        if any(len(key) != _KEY_BYTES for key in keys.values()):
            raise SecretError(f"The key file {file} holds a key of the wrong length.")
        return cls(keys)

    @staticmethod
    def create_file(file: Path) -> bool:
        """Create the key file unless it exists. Returns whether it was created."""
        line = f"{secrets.token_hex(4)}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}\n"
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(descriptor)
        return True

    def seal(self, text: str, *, table: str, column: str, row: int) -> str:
        """Encrypt ``text`` for one place in the database.

        :return: ``key-identifier:base64(nonce + ciphertext)``.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._sealing].encrypt(nonce, text.encode(), _place(table, column, row))
        return f"{self._sealing}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str | None, *, table: str, column: str, row: int) -> str:
        """Decrypt what :meth:`seal` made for the same place.

        :raises SecretError: no value, unknown key, altered value, or one moved from another place.
        """
        if sealed is None:
            raise SecretError(f"The secret in {table}.{column}, row {row}, is missing.")
        identifier, _, body = sealed.partition(":")
        try:
            raw = base64.b64decode(body, validate=True)
            cipher = self._ciphers[identifier]
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _place(table, column, row)).decode()
        except (KeyError, ValueError, InvalidTag) as error:
            raise SecretError(f"The secret in {table}.{column}, row {row}, does not decrypt.") from error


@dataclass(frozen=True)
class Sealed:
    """A secret that was sealed, and the place it was sealed for."""

    text: str
    table: str
    column: str
    row: int


class NotingKeyring(Keyring):
    """A keyring that notes what it seals, for a dry run to compare with what is stored."""

    def __init__(self, keyring: Keyring) -> None:
        self._ciphers = keyring._ciphers
        self._sealing = keyring._sealing
        self.noted: list[Sealed] = []

    def seal(self, text: str, *, table: str, column: str, row: int) -> str:
        """Encrypt, and note the secret."""
        self.noted.append(Sealed(text, table, column, row))
        return super().seal(text, table=table, column=column, row=row)


def fingerprint(token: str) -> str:
    """The form in which tokens and agent keys are stored: SHA-256 in lowercase hex (admin-api.md §2.1)."""
    return hashlib.sha256(token.encode()).hexdigest()


def _place(table: str, column: str, row: int) -> bytes:
    return f"{table}|{column}|{row}".encode()
