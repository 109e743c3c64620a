# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Borg's output and exit code, read as agent-protocol.md §10.3 and §10.4 say."""

import json
import os
import shlex
import signal
from typing import Any, Callable, Dict, List, Optional

from .job import TaskError
from .system import find_borg

LONGEST_ERROR_LOG = 10000
MOST_LINES = 500
DISK_FULL = "No space left on device"
# Borg may see it coming before it commits.
DISK_FULL_WORDS = (DISK_FULL, "Insufficient free space")
DISK_FULL_SENTENCE = DISK_FULL + ": {}, or the one with borg's cache on this machine, is full; free some space"
# What happens to any living file system between listing and reading a file.
ROUTINE = (
    "file changed while we backed it up",
    "file type or inode changed",
    "[Errno 13] Permission denied",
    "[Errno 1] Operation not permitted",
)
VANISHED = "[Errno 2] No such file or directory"


class BorgOutput:
    """Collects what one borg run says on stderr with --log-json.

    `files` and `bytes` are counters for progress, `statuses` counts the letters of borg's list.
    """

    def __init__(
        self,
        roots: List[str],
        on_progress: Optional[Callable[["BorgOutput"], None]] = None,
        on_file: Optional[Callable[[str, str], None]] = None,
        written: str = "the disk of the repository",
    ) -> None:
        """`roots`: the directories asked for; a missing one is never routine. `written`: the disk that may be full."""
        self.files = 0
        self.bytes = 0
        self.bytes_total = 0
        self.statuses: Dict[str, int] = {}
        self.warnings = _Lines()
        self.errors = _Lines()
        self.other = _Lines()
        self.all_routine = True
        self._roots = [root.rstrip("/") or "/" for root in roots]
        self._on_progress = on_progress
        self._on_file = on_file
        self._written = written

    def feed(self, line: str) -> None:
        """Take one line of stderr."""
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self.other.add(line.strip())
            return
        kind = message.get("type")
        if kind == "archive_progress" and not message.get("finished"):
            self.files = int(message.get("nfiles") or 0)
            self.bytes = int(message.get("original_size") or 0)
        elif kind == "progress_percent" and not message.get("finished"):
            self.bytes = int(message.get("current") or 0)
            self.bytes_total = int(message.get("total") or 0)
        elif kind == "file_status":
            self._file_status(str(message.get("status") or ""), str(message.get("path") or ""))
        elif kind == "log_message":
            self._log_message(message)
        if self._on_progress is not None:
            self._on_progress(self)

    def has_warned(self) -> bool:
        """Whether an exit code 1 deserves attention: some warning was not routine, or none said why."""
        return not (self.all_routine and self.warnings.kept)

    def error_log(self, failed: bool) -> str:
        """The text for the report: errors before warnings, at most 10000 characters."""
        lines = list(self.errors.kept)
        if failed:
            lines += self.other.kept
            said = "\n".join(lines + self.warnings.kept)
            if any(words in said for words in DISK_FULL_WORDS):
                lines.insert(0, DISK_FULL_SENTENCE.format(self._written))
            if lines and self.warnings.kept:
                lines.append("Warnings:")
        else:
            lines += [line for line in self.other.kept if "error" in line.lower()]
        lines += self.warnings.kept
        dropped = self.errors.dropped + self.warnings.dropped
        if dropped:
            lines.append("... and {} more lines".format(dropped))
        return _shortened("\n".join(lines) + "\n") if lines else ""

    def _file_status(self, status: str, path: str) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self._on_file is not None:
            self._on_file(status, path)

    def _log_message(self, message: Dict[str, Any]) -> None:
        text = str(message.get("message") or "").strip()
        level = message.get("levelname")
        if level in ("ERROR", "CRITICAL"):
            self.errors.add(without_traceback(text))
            self.all_routine = False
        elif level == "WARNING":
            self.warnings.add(text)
            self.all_routine = self.all_routine and self._is_routine(text)
        elif message.get("name") == "borg.output.list":
            self.files += 1

    def _is_routine(self, text: str) -> bool:
        if VANISHED in text:
            return not any(text.startswith(root + ":") for root in self._roots)
        return any(words in text for words in ROUTINE)


class _Lines:
    """The first lines of something that may be endless."""

    def __init__(self) -> None:
        self.kept: List[str] = []
        self.dropped = 0

    def add(self, text: str) -> None:
        if len(self.kept) < MOST_LINES:
            self.kept.append(text)
        else:
            self.dropped += 1


def command_of(task: Dict[str, Any]) -> List[str]:
    """The task's borg command with the path of the borg that is installed here.

    Raises TaskError when the task has no borg command or this machine has no borg.
    """
    command = task.get("command")
    if not isinstance(command, list) or not command or os.path.basename(str(command[0])) != "borg":
        raise TaskError("The server sent no borg command with this task.")
    borg = find_borg()
    if borg is None:
        raise TaskError("borg is not installed on this machine; install the package borgbackup.")
    return [borg] + [str(word) for word in command[1:]]


def archive_stats(stdout: str) -> Optional[Dict[str, int]]:
    """`nfiles`, `original_size` and `deduplicated_size` of borg's --json summary, None without one."""
    try:
        stats = json.loads(stdout)["archive"]["stats"]
        return {name: int(stats[name]) for name in ("nfiles", "original_size", "deduplicated_size")}
    except (ValueError, KeyError, TypeError):
        return None


def repository_of(task: Dict[str, Any]) -> str:
    """The repository of a task: `repo_path`, or (2.26 sends none) the part before `::`."""
    given = task.get("repo_path")
    if given:
        return str(given)
    words = [str(word) for word in task.get("command") or []]
    return next((word.split("::", 1)[0] for word in words if "::" in word and not word.startswith("-")), "")


def described(command: List[str]) -> str:
    """A command for the log, quoted so that a person can repeat it."""
    return " ".join(shlex.quote(word) for word in command)


def without_traceback(text: str) -> str:
    """What borg said without its Python traceback, of which only the last line tells a person something.

    Borg ends such a message with its platform and versions, each line as ``Word: …``.
    """
    said, found, rest = text.partition("Traceback (most recent call last):")
    if not found:
        return text
    unindented = [line for line in rest.splitlines() if line and not line.startswith(" ")]
    cause = unindented[0] if unindented else ""
    return "\n".join(part for part in (said.strip(), cause) if part)


def silent_end(code: int) -> str:
    """What to say of a borg that failed without a word."""
    if code == -signal.SIGKILL:
        return "Borg was killed by a signal (SIGKILL); the system does that when memory runs out."
    return "Borg ended with exit code {} and gave no reason.".format(code)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_ERROR_LOG:
        return text
    note = "\n... (shortened) ...\n"
    head = (LONGEST_ERROR_LOG - len(note)) * 2 // 3
    tail = LONGEST_ERROR_LOG - len(note) - head
    return text[:head] + note + text[-tail:]
