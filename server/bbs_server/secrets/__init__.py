# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets at rest: AES-256-GCM, bound to the table, column and row they belong to."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bbs_server.secrets import key_file
from bbs_server.secrets.key_file import SecretError

_NONCE_BYTES = 12


class Keyring:
    """The keys that seal secrets. The last key of the file seals; every key opens.

    Keys that another process adds to the file (``bbs-server rotate-secrets``) are taken up when they are needed.
    """

    def __init__(self, file: Path) -> None:
        """Read a key file.

        :raises SecretError: missing, readable by others, or malformed.
        """
        self._file = file
        self._ciphers: dict[str, AESGCM] = {}
        self._read()

    @property
    def sealing(self) -> str:
        """The identifier of the key that seals."""
        if self._version() != self._seen:
            self._read()
        return self._sealing

    def seal(self, text: str, *, table: str, column: str, row: int) -> str:
        """Encrypt ``text`` for one place in the database.

        :return: ``key-identifier:base64(nonce + ciphertext)``.
        """
        nonce, identifier = os.urandom(_NONCE_BYTES), self.sealing
        sealed = self._ciphers[identifier].encrypt(nonce, text.encode(), _place(table, column, row))
        return f"{identifier}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str | None, *, table: str, column: str, row: int) -> str:
        """Decrypt what :meth:`seal` made for the same place.

        :raises SecretError: no value, unknown key, altered value, or one moved from another place.
        """
        if sealed is None:
            raise SecretError(f"The secret in {table}.{column}, row {row}, is missing.")
        identifier, _, body = sealed.partition(":")
        if identifier not in self._ciphers:
            self._read()
        try:
            raw = base64.b64decode(body, validate=True)
            cipher = self._ciphers[identifier]
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _place(table, column, row)).decode()
        except (KeyError, ValueError, InvalidTag) as error:
            raise SecretError(f"The secret in {table}.{column}, row {row}, does not decrypt.") from error

    def _read(self) -> None:
        version, keys = self._version(), key_file.read(self._file)
        # Keys that are gone from the file stay here: a row that was read a moment ago may need one.
        self._ciphers = self._ciphers | {identifier: AESGCM(key) for identifier, key in keys.items()}
        self._seen, self._sealing = version, list(keys)[-1]

    def _version(self) -> tuple[int, int]:
        try:
            status = self._file.stat()
        except OSError:
            return (0, 0)
        return status.st_ino, status.st_mtime_ns


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
        self._keyring = keyring
        self.noted: list[Sealed] = []

    def seal(self, text: str, *, table: str, column: str, row: int) -> str:
        """Encrypt, and note the secret."""
        self.noted.append(Sealed(text, table, column, row))
        return self._keyring.seal(text, table=table, column=column, row=row)

    def open(self, sealed: str | None, *, table: str, column: str, row: int) -> str:
        """Decrypt."""
        return self._keyring.open(sealed, table=table, column=column, row=row)


def fingerprint(token: str) -> str:
    """The form in which tokens and agent keys are stored: SHA-256 in lowercase hex (admin-api.md §2.1)."""
    return hashlib.sha256(token.encode()).hexdigest()


def _place(table: str, column: str, row: int) -> bytes:
    return f"{table}|{column}|{row}".encode()
