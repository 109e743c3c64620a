# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running borg on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ENCRYPTIONS = ("none", "repokey", "repokey-blake2", "authenticated", "authenticated-blake2")
"""Encryption modes offered for repositories (admin-api.md §5.2)."""

UNATTENDED = {
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
}
"""Answers to the questions borg would ask a person (agent-protocol.md §10.2)."""

_LOG_TAIL = 4000


class BorgError(Exception):
    """Borg is missing or failed; the message is its own last words."""


class Borg:
    """Borg as the server runs it.

    :param base: borg's own state (caches, security records), ``BORG_BASE_DIR``.
    """

    def __init__(self, base: Path) -> None:
        self._base = base

    def environment(self, passphrase: str | None, base: Path | None = None) -> dict[str, str]:
        """The environment of a borg process; the passphrase travels only here.

        :param base: another place for borg's own state.
        """
        return {
            **os.environ,
            **UNATTENDED,
            "BORG_BASE_DIR": str(base or self._base),
            "BORG_PASSPHRASE": passphrase or "",
            "BORG_DISPLAY_PASSPHRASE": "no",
            "LC_ALL": "C.UTF-8",
        }

    def run(
        self, arguments: Sequence[str], passphrase: str | None, *, base: Path | None = None, accept: int = 1
    ) -> str:
        """Run borg to its end.

        :param arguments: everything after ``borg``.
        :param base: another place for borg's own state.
        :param accept: highest exit code that is not a failure; 1 means "with warnings".
        :return: standard output.
        :raises BorgError: borg is missing or failed.
        """
        program = shutil.which("borg")
        if program is None:
            raise BorgError("borg is not installed on the server: install the package borgbackup.")
        done = subprocess.run(
            [program, *arguments],
            env=self.environment(passphrase, base),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if not 0 <= done.returncode <= accept:
            raise BorgError(done.stderr.strip()[-_LOG_TAIL:] or f"borg ended with code {done.returncode}.")
        return done.stdout

    def init(self, repository: Path, encryption: str, passphrase: str | None) -> None:
        """Create an empty repository.

        Borg remembers where it saw a repository and warns when it has moved. What is created here is
        moved to its place once it is complete, so the memory of this run is thrown away.

        :raises BorgError: nothing usable was created.
        """
        with tempfile.TemporaryDirectory(prefix="init-", dir=self._base) as base:
            arguments = ["init", f"--encryption={encryption}", str(repository)]
            self.run(arguments, passphrase, base=Path(base), accept=0)
