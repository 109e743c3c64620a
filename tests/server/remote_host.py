# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A third party's SSH server: a real sshd on the loopback address, with keys and an account of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbs_server.borg.keys import KeyPair, generate

_PATIENCE_SECONDS = 10

_NAME = "storage-box"
_FIRST_UID = 61200

# The account is known where this sshd runs, and nowhere else on the machine.
_WITH_ACCOUNT = 'mount --bind "$0" /etc/passwd && exec "$@"'


@dataclass
class RemoteHost:
    """The host, and an account that may do everything there, as at Hetzner or rsync.net.

    The account is one of its own where that can be had, which takes root; else the one that runs the tests.
    """

    folder: Path
    port: int
    uid: int = field(default_factory=lambda: _free_uid() if can_have_account() else os.geteuid())
    key: KeyPair = field(default_factory=generate)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Where repositories lie; the account's home."""
        return self.folder / "data"

    @property
    def user(self) -> str:
        """The account."""
        return _NAME if self.uid != os.geteuid() else pwd.getpwuid(self.uid).pw_name

    def place(self, name: str) -> Path:
        """A folder of the account's."""
        made = self.data / name
        made.mkdir(parents=True, exist_ok=True)
        self.give(made)
        return made

    def give(self, folder: Path) -> None:
        """Make the account the owner of everything below a folder."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.uid if self.uid != os.geteuid() else -1)

    def config(self, **changes: Any) -> dict[str, Any]:
        """What the API needs to know of it."""
        return {
            "name": "offsite",
            "remote_host": "127.0.0.1",
            "remote_port": self.port,
            "remote_user": self.user,
            "remote_base_path": str(self.data),
            "ssh_private_key": self.key.private,
            **changes,
        }

    def start(self) -> None:
        """Run sshd with the host key that lies in the folder."""
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin") or "sshd"
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        settings = self.folder / "sshd_config"
        settings.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder / 'host_key'}\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )
        command = [program, "-D", "-e", "-f", str(settings)]
        if self.uid != os.geteuid():
            accounts = self.folder / "passwd"
            line = f"{_NAME}:x:{self.uid}:{self.uid}::{self.data}:/bin/sh\n"
            accounts.write_text(Path("/etc/passwd").read_text() + line)
            command = ["unshare", "--mount", "sh", "-c", _WITH_ACCOUNT, str(accounts), *command]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.terminate()
            self.process.wait()

    def allow(self, options: str = "") -> None:
        """Let the key in; ``options`` as in authorized_keys."""
        line = f"{options} {self.key.public}".strip()
        (self.folder / "authorized_keys").write_text(f"{line}\n")

    def new_host_key(self) -> None:
        """Become another host."""
        (self.folder / "host_key").unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host_key")]
        subprocess.run(command, check=True)


def can_have_account() -> bool:
    """Whether a mount namespace of one's own can be had, for an account that is on no list of the machine's."""
    tried = ["unshare", "--mount", "mount", "--bind", "/etc/passwd", "/etc/passwd"]
    return os.geteuid() == 0 and subprocess.run(tried, capture_output=True, check=False).returncode == 0


def _free_uid() -> int:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in range(_FIRST_UID, _FIRST_UID + 1000) if uid not in taken)


@contextmanager
def remote_host() -> Iterator[RemoteHost]:
    """A running host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Not below pytest's own folder, which is for its owner alone.
    with tempfile.TemporaryDirectory(prefix="bbs-remote-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        host = RemoteHost(folder, port)
        host.place(".")
        host.new_host_key()
        host.allow()
        host.start()
        try:
            yield host
        finally:
            host.stop()
