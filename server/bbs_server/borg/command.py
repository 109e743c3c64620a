# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running borg on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbs_agent.borg import DISK_FULL, DISK_FULL_WORDS, without_traceback
from bbs_agent.stale_locks import free_caches
from bbs_server import temporary
from bbs_server.processes.children import ending_with_parent

ENCRYPTIONS = ("none", "repokey", "repokey-blake2", "authenticated", "authenticated-blake2")
"""Encryption modes offered for repositories (admin-api.md §5.2)."""

UNATTENDED = {
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
}
"""Answers to the questions borg would ask a person (agent-protocol.md §10.2)."""

LOCK_WAIT = "--lock-wait=600"
"""Seconds that every borg, the agents' too, waits for another one to leave a repository (agent-protocol.md §10.1)."""

CONNECTION_CLOSED = "Connection closed by remote host"
"""Borg's words when ssh ended, for whatever reason."""

_DELETING = {"BORG_DELETE_I_KNOW_WHAT_I_AM_DOING": "YES"}

_DISK_FULL_SENTENCE = f"{DISK_FULL}: the disk of the repository is full; free some space"

_LOG_TAIL = 4000

_LOOK_SECONDS = 1
"""How often is looked whether a running borg is still wanted."""

_STOP_SECONDS = 60
"""How long a borg that was told to end may take to leave the repository in order."""


class BorgError(Exception):
    """Borg is missing or failed; the message is its own last words."""


class BorgStopped(Exception):
    """Borg was told to end, because nobody wants its work any more."""


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
    :param temporary_directory: for such state that is thrown away.
    """

    def __init__(self, base: Path, temporary_directory: Path) -> None:
        self._base = base
        self._temporary_directory = temporary_directory

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
            # Asked with --repair alone, which only a job does that a person wanted.
            "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES",
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
        wanted: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Run borg to its end; it ends early, cleanly, when this process does.

        :param arguments: everything after ``borg``.
        :param base: another place for borg's own state.
        :param accept: highest exit code that is not a failure; 1 means "with warnings".
        :param remote_shell: the ssh command for a repository on another host.
        :param deleting: answer yes when borg asks whether a whole repository is to be deleted.
        :param wanted: asked now and then; when it says no, borg is told to end.
        :raises BorgError: borg is missing or failed.
        :raises BorgStopped: it was not wanted any more.
        """
        environment = self.environment(passphrase, base, remote_shell) | (_DELETING if deleting else {})
        with _started(arguments, environment, stderr=subprocess.PIPE) as process:
            output, log = _finished(process, wanted)
        if not 0 <= process.returncode <= accept:
            raise BorgError(reason(log) or f"borg ended with code {process.returncode}.")
        return Outcome(output, log, warnings=process.returncode != 0)

    @contextmanager
    def lines(
        self, arguments: Sequence[str], passphrase: str | None, *, remote_shell: str | None = None
    ) -> Iterator[Iterator[str]]:
        """The lines of borg's standard output while it writes them, for output too long to be held.

        :raises BorgError: borg is missing or failed; told when the ``with`` block ends.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            with _started(arguments, self.environment(passphrase, None, remote_shell), stderr=log) as process:
                assert process.stdout is not None
                yield iter(process.stdout)
                process.wait()
            if process.returncode not in (0, 1):
                log.seek(0)
                raise BorgError(reason(log.read()) or f"borg ended with code {process.returncode}.")

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
        with temporary.folder(self._temporary_directory) as base:
            arguments = ["init", *options, f"--encryption={encryption}", str(repository)]
            self.perform(arguments, passphrase, base=base, accept=0, remote_shell=remote_shell)


@contextmanager
def _started(arguments: Sequence[str], environment: dict[str, str], *, stderr: Any) -> Iterator[subprocess.Popen[str]]:
    program = shutil.which("borg")
    if program is None:
        raise BorgError("borg is not installed on the server: install the package borgbackup.")
    free_caches(environment)
    with subprocess.Popen(
        ending_with_parent([program, *arguments]),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            yield process
        except BaseException:
            _end(process)
            raise


def _finished(process: subprocess.Popen[str], wanted: Callable[[], bool] | None) -> tuple[str, str]:
    """Standard output and standard error of a borg that has ended."""
    while True:
        try:
            return process.communicate(timeout=_LOOK_SECONDS if wanted else None)
        except subprocess.TimeoutExpired:
            if wanted is not None and not wanted():
                raise BorgStopped from None


def _end(process: subprocess.Popen[str]) -> None:
    """Tell borg to end. It then rolls back what it has begun and gives its lock back."""
    process.terminate()
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def reason(log: str) -> str:
    """Why borg failed: its last words without a Python traceback; a full disk is told first."""
    # Borg puts this before what the borg on another host said.
    plain = re.sub(r"^Remote: ?", "", log, flags=re.MULTILINE)
    told = without_traceback(plain).strip()
    if len(told) > _LOG_TAIL:
        told = told[-_LOG_TAIL:].partition("\n")[2] or told[-_LOG_TAIL:]
    full = any(words in plain for words in DISK_FULL_WORDS)
    return "\n".join(part for part in (_DISK_FULL_SENTENCE if full else "", told) if part)
