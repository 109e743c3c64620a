# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running borg on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bbs_agent.borg import DISK_FULL, DISK_FULL_WORDS, without_traceback
from bbs_server.processes import ending_with_parent

ENCRYPTIONS = ("none", "repokey", "repokey-blake2", "authenticated", "authenticated-blake2")
"""Encryption modes offered for repositories (admin-api.md §5.2)."""

UNATTENDED = {
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
}
"""Answers to the questions borg would ask a person (agent-protocol.md §10.2)."""

CONNECTION_CLOSED = "Connection closed by remote host"
"""Borg's words when ssh ended, for whatever reason."""

_DELETING = {"BORG_DELETE_I_KNOW_WHAT_I_AM_DOING": "YES"}

_DISK_FULL_SENTENCE = f"{DISK_FULL}: the disk of the repository is full; free some space"

_LOG_TAIL = 4000


class BorgError(Exception):
    """Borg is missing or failed; the message is its own last words."""


@dataclass(frozen=True)
class Outcome:
    """What a borg that did its work has said.

    :param output: standard output.
    :param log: standard error, where borg tells what it did.
    :param warnings: whether it ended "with warnings".
    """

    output: str
    log: str
    warnings: bool


class Borg:
    """Borg as the server runs it.

    :param base: borg's own state (caches, security records), ``BORG_BASE_DIR``.
    """

    def __init__(self, base: Path) -> None:
        self._base = base

    def environment(
        self, passphrase: str | None, base: Path | None = None, remote_shell: str | None = None
    ) -> dict[str, str]:
        """The environment of a borg process; the passphrase travels only here.

        :param base: another place for borg's own state.
        :param remote_shell: the ssh command for a repository on another host.
        """
        return {
            **os.environ,
            **UNATTENDED,
            "BORG_BASE_DIR": str(base or self._base),
            "BORG_PASSPHRASE": passphrase or "",
            "BORG_DISPLAY_PASSPHRASE": "no",
            "LC_ALL": "C.UTF-8",
            **({"BORG_RSH": remote_shell} if remote_shell else {}),
        }

    def run(
        self, arguments: Sequence[str], passphrase: str | None, *, base: Path | None = None, accept: int = 1
    ) -> str:
        """Run borg to its end; its standard output.

        :raises BorgError: borg is missing or failed.
        """
        return self.perform(arguments, passphrase, base=base, accept=accept).output

    def perform(
        self,
        arguments: Sequence[str],
        passphrase: str | None,
        *,
        base: Path | None = None,
        accept: int = 1,
        remote_shell: str | None = None,
        deleting: bool = False,
    ) -> Outcome:
        """Run borg to its end; it ends early, cleanly, when this process does.

        :param arguments: everything after ``borg``.
        :param base: another place for borg's own state.
        :param accept: highest exit code that is not a failure; 1 means "with warnings".
        :param remote_shell: the ssh command for a repository on another host.
        :param deleting: answer yes when borg asks whether a whole repository is to be deleted.
        :raises BorgError: borg is missing or failed.
        """
        program = shutil.which("borg")
        if program is None:
            raise BorgError("borg is not installed on the server: install the package borgbackup.")
        done = subprocess.run(
            ending_with_parent([program, *arguments]),
            env=self.environment(passphrase, base, remote_shell) | (_DELETING if deleting else {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if not 0 <= done.returncode <= accept:
            raise BorgError(reason(done.stderr) or f"borg ended with code {done.returncode}.")
        return Outcome(done.stdout, done.stderr, warnings=done.returncode != 0)

    def init(
        self,
        repository: Path | str,
        encryption: str,
        passphrase: str | None,
        *,
        options: Sequence[str] = (),
        remote_shell: str | None = None,
    ) -> None:
        """Create an empty repository.

        Borg remembers where it saw a repository and warns when it has moved. What is created here is
        moved to its place once it is complete, so the memory of this run is thrown away.

        :param repository: a folder, or the URL of a place on another host.
        :raises BorgError: nothing usable was created.
        """
        with tempfile.TemporaryDirectory(prefix="init-", dir=self._base) as base:
            arguments = ["init", *options, f"--encryption={encryption}", str(repository)]
            self.perform(arguments, passphrase, base=Path(base), accept=0, remote_shell=remote_shell)


def reason(log: str) -> str:
    """Why borg failed: its last words without a Python traceback; a full disk is told first."""
    # Borg puts this before what the borg on another host said.
    plain = re.sub(r"^Remote: ?", "", log, flags=re.MULTILINE)
    told = without_traceback(plain).strip()
    if len(told) > _LOG_TAIL:
        told = told[-_LOG_TAIL:].partition("\n")[2] or told[-_LOG_TAIL:]
    full = any(words in plain for words in DISK_FULL_WORDS)
    return "\n".join(part for part in (_DISK_FULL_SENTENCE if full else "", told) if part)
