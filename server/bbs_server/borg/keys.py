# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""SSH keys of clients: making them, and letting them in through the gate."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bbs_server import durable


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key pair in OpenSSH's formats."""

    private: str
    public: str


def generate() -> KeyPair:
    """A new key pair without a passphrase."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(private.decode(), public.decode())


class AuthorizedKeys:
    """The file sshd reads: one line per client, each bound to the gate for that client.

    Adding a key appends one line, so the 10,000th client costs what the first did.

    :param directory: holds ``authorized_keys`` and the gate's list of storage locations.
    """

    def __init__(self, directory: Path) -> None:
        self.file = directory / "authorized_keys"
        self._locations = directory / "locations"
        self._lock = directory / "authorized_keys.lock"

    def line(self, client_id: int, public_key: str) -> str:
        """The line that lets one client in, and only through the gate (agent-protocol.md §6.2)."""
        gate = Path(sys.executable).parent / "bbs-gate"
        command = shlex.join([str(gate), "--locations", str(self._locations), "--client", str(client_id)])
        escaped = command.replace("\\", "\\\\").replace('"', '\\"')
        return f'command="{escaped}",restrict {public_key} {_comment(client_id)}\n'

    def add(self, client_id: int, public_key: str) -> None:
        """Let a client in; durable when this returns."""
        with self._locked(), self.file.open("a", encoding="utf-8") as stream:
            stream.write(self.line(client_id, public_key))
            stream.flush()
            os.fsync(stream.fileno())

    def remove(self, client_id: int) -> None:
        """Shut a client out; no error when it was not in."""
        ending = f" {_comment(client_id)}\n"
        with self._locked():
            if self.file.exists():
                lines = self.file.read_text(encoding="utf-8").splitlines(keepends=True)
                self._replace(line for line in lines if not line.endswith(ending))

    def rebuild(self, keys: Iterable[tuple[int, str]]) -> bool:
        """Make the file hold exactly these clients. Returns whether it had to change."""
        wanted = "".join(self.line(client_id, public_key) for client_id, public_key in keys)
        with self._locked():
            if self.file.exists() and self.file.read_text(encoding="utf-8") == wanted:
                return False
            self._replace([wanted])
            return True

    def write_locations(self, paths: Iterable[str]) -> None:
        """Tell the gate the storage locations, the first one first."""
        temporary = self._locations.with_suffix(".new")
        durable.write(temporary, "".join(f"{path}\n" for path in paths))
        durable.replace(temporary, self._locations)

    def _replace(self, lines: Iterable[str]) -> None:
        temporary = self.file.with_suffix(".new")
        durable.write(temporary, "".join(lines))
        durable.replace(temporary, self.file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _comment(client_id: int) -> str:
    return f"bbs-client-{client_id}"
