# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An sshd of the server's own, on a high port: for trials and tests, where the system's is not to be touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bbs_server.settings import Settings

HOST_KEY = "host_ed25519_key"

_PRIVILEGE_SEPARATION = Path("/run/sshd")


class SshdError(Exception):
    """The private sshd cannot run; the message says what to do."""


def available() -> bool:
    """Whether the programs are installed."""
    try:
        return bool(_program("sshd") and _program("ssh-keygen"))
    except SshdError:
        return False


def create_host_key(settings: Settings) -> bool:
    """Create the host key unless it exists; returns whether it was created."""
    file = settings.ssh_directory / HOST_KEY
    if file.exists():
        return False
    _run([_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "bbs-server", "-f", str(file)])
    return True


def command(settings: Settings) -> list[str]:
    """Write the configuration and check it; the command that runs sshd in the foreground.

    :raises SshdError: no sshd, or it refuses the configuration.
    """
    if os.geteuid() == 0:
        # The distribution's unit makes this folder when it starts; a private sshd may come first.
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    file = settings.ssh_directory / "sshd_config"
    file.write_text(_configuration(settings), encoding="utf-8")
    program = _program("sshd")
    _run([program, "-t", "-f", str(file)])
    return [program, "-D", "-e", "-f", str(file)]


def _configuration(settings: Settings) -> str:
    directory = settings.ssh_directory
    # As root, PAM tells locked accounts from those that merely have no password.
    pam = "yes" if os.geteuid() == 0 else "no"
    # StrictModes would refuse a checkout in a shared folder; the directory itself is closed to others.
    return f"""# Written by bbs-server at every start.
ListenAddress {settings.listen_address}
Port {settings.ssh_port}
HostKey "{directory / HOST_KEY}"
PidFile none
AuthorizedKeysFile "{directory / "authorized_keys"}"
AllowUsers {settings.account}
StrictModes no
UsePAM {pam}
PermitRootLogin forced-commands-only
PasswordAuthentication no
KbdInteractiveAuthentication no
DisableForwarding yes
PermitTTY no
PermitUserRC no
PrintMotd no
MaxStartups 100:30:200
ClientAliveInterval 30
ClientAliveCountMax 20
"""


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise SshdError(f"{name} is not installed: install the package openssh-server.")
    return found


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SshdError(f"{arguments[0]} failed: {done.stderr.strip()}")
