# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands act as the account that owns the server's data, and as no other.

Another account could not read the keys; root could, but would leave files behind that the server cannot write.
"""

from __future__ import annotations

import os
import pwd

from bbs_server.settings import Settings


class AccountError(Exception):
    """The command was called by the wrong account; the message names the right one."""


def become_owner(settings: Settings) -> None:
    """As root, go on as the owner of the server's directory; a directory that is not there yet has none.

    :raises AccountError: called by somebody else.
    """
    try:
        status = settings.directory.stat()
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise AccountError(f"{settings.directory} is not yours: run this with sudo.") from error
    if os.geteuid() == status.st_uid:
        return
    owner = _name(status.st_uid)
    if os.geteuid() != 0:
        raise AccountError(
            f"{settings.directory} belongs to {owner}: run this as that user (sudo -u {owner} …) or root."
        )
    os.initgroups(owner, status.st_gid)
    os.setgid(status.st_gid)
    os.setuid(status.st_uid)


def operator() -> str:
    """Who calls a command, as the log names them: ``user alice as root`` after sudo.

    Ask before :func:`become_owner`, which makes another account of the process.
    """
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = str(os.getuid())
    behind = "".join(letter for letter in os.environ.get("SUDO_USER", "") if letter.isprintable())
    return f"user {behind} as {account}" if behind not in ("", account) else f"user {account}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise AccountError(f"The server's directory belongs to user id {uid}, who does not exist here.") from error
