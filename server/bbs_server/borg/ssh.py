# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ssh from this server to third parties' hosts: with a key that is on disk only meanwhile, host keys verified."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from bbs_server import temporary

CONNECT_SECONDS = 20
"""Patience with a host that does not answer."""

COMMAND_SECONDS = 60
"""Patience with a command that looks around on a host."""

KEY_CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED"
_KEY_REFUSED = "Host key verification failed"


class SshError(Exception):
    """The host cannot be reached or refuses us; the message is one sentence."""


@dataclass(frozen=True)
class Ssh:
    """An ssh client for one account on one host.

    :param arguments: the ssh command with its options, without the destination.
    """

    arguments: tuple[str, ...]
    user: str
    host: str

    @property
    def command_line(self) -> str:
        """The command in the form of ``BORG_RSH``."""
        return shlex.join(self.arguments)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the host.

        :raises SshError: ssh itself failed, or the command took too long.
        """
        try:
            done = subprocess.run(
                [*self.arguments, "--", f"{self.user}@{self.host}", command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SshError(f"{self.host} did not answer within {COMMAND_SECONDS} seconds.") from error
        if done.returncode == 255:  # ssh's own failures
            raise SshError(reason(done.stderr, self.host))
        return done


@contextmanager
def connecting(
    *, user: str, host: str, port: int, private_key: str, known_hosts: Path, directory: Path
) -> Iterator[Ssh]:
    """An ssh client that can be used inside the ``with`` block.

    A host's key is learned when it is first seen; one that has changed is refused.

    :param known_hosts: where the host's key is remembered.
    :param directory: for temporary folders; the private key lies in one meanwhile.
    :raises SshError: ssh is not installed.
    """
    program = shutil.which("ssh")
    if program is None:
        raise SshError("ssh is not installed on the server: install the package openssh-client.")
    known_hosts.parent.mkdir(mode=0o700, exist_ok=True)
    with temporary.folder(directory) as folder:
        key_file = folder / "key"
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(private_key)
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_SECONDS),
            "ServerAliveInterval": "30",
            "ServerAliveCountMax": "4",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": f'"{known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "HashKnownHosts": "no",
            "UpdateHostKeys": "no",
            "LogLevel": "ERROR",
        }
        settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        # Without the account's own configuration, which could name other keys and hosts.
        yield Ssh((program, "-F", "/dev/null", "-i", str(key_file), "-p", str(port), *settings), user, host)


def reason(log: str, host: str) -> str:
    """Why ssh, or borg over it, failed: one sentence from what they wrote."""
    if KEY_CHANGED in log or _KEY_REFUSED in log:
        return f"The host key of {host} has changed: if that is right, test the configuration with forget_host_key."
    lines = [re.sub(r"^Remote:\s*", "", line).strip(" \r.") for line in log.splitlines()]
    told = [line for line in lines if line]
    return f"{told[0].rstrip('?')}." if told else f"{host} ended the connection without a reason."


def checked_private_key(text: str) -> str:
    """A private key in the form that ssh reads.

    :raises ValueError: not a private key, or one with a passphrase.
    """
    normal = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in normal else load_pem_private_key
    try:
        load(normal.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("must be a private key in OpenSSH or PEM form, without a passphrase.") from error
    return normal
