# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A third party's SSH server: a real sshd on the loopback address with keys of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbs_server.borg.keys import KeyPair, generate

_PATIENCE_SECONDS = 10


@dataclass
class RemoteHost:
    """The host, and an account that may do everything there, as at Hetzner or rsync.net."""

    folder: Path
    port: int
    key: KeyPair = field(default_factory=generate)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Where repositories lie."""
        return self.folder / "data"

    @property
    def user(self) -> str:
        """The account."""
        return pwd.getpwuid(os.geteuid()).pw_name

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
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen([program, "-D", "-e", "-f", str(settings)], stdout=log, stderr=log)
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


@contextmanager
def remote_host(folder: Path) -> Iterator[RemoteHost]:
    """A running host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host = RemoteHost(folder, port)
    host.data.mkdir(parents=True)
    host.new_host_key()
    host.allow()
    host.start()
    try:
        yield host
    finally:
        host.stop()
