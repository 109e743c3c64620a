# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What simulated agents are to do, client by client: ``web1=fail,db*=hang,*=succeed``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self


class CueError(Exception):
    """Cues that cannot be read; the message says which and what is allowed."""


class Behaviour(StrEnum):
    """How a simulated agent takes its tasks."""

    SUCCEED = "succeed"
    WARN = "warn"
    FAIL = "fail"
    HANG = "hang"
    OFFLINE = "offline"


@dataclass(frozen=True)
class Cues:
    """Pairs of a client's name, or a pattern of names, and a behaviour; the first that fits counts."""

    pairs: tuple[tuple[str, Behaviour], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read cues that are separated by commas or line breaks; lines may be comments (``#``).

        :raises CueError: naming the cue that is none.
        """
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        return cls(tuple(_pair(cue.strip()) for line in lines for cue in line.split(",") if cue.strip()))

    def of(self, name: str) -> Behaviour | None:
        """What the agent of a client is to do; None when it has no simulated agent."""
        fitting = (behaviour for pattern, behaviour in self.pairs if pattern == name or fnmatchcase(name, pattern))
        return next(fitting, None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in them that are no patterns."""
        return tuple(pattern for pattern, _ in self.pairs if not set(pattern) & set("*?["))


class CueFile:
    """Cues in a file that may be rewritten at any time.

    :param tell: is told once of a text that cannot be read; the cues before it stay.
    """

    def __init__(self, path: Path, cues: str, tell: Callable[[str], None]) -> None:
        self.current = Cues.parse(cues)
        self._path, self._tell = path, tell
        self._text = "".join(f"{name}={behaviour}\n" for name, behaviour in self.current.pairs)
        path.write_text(self._text, encoding="utf-8")

    def look(self) -> None:
        """Take up what the file says now."""
        try:
            text = self._path.read_text(encoding="utf-8")
            if text == self._text:
                return
            self._text = text
            self.current = Cues.parse(text)
        except (CueError, OSError, UnicodeDecodeError) as error:
            self._tell(f"{self._path}: {error}")


def _pair(cue: str) -> tuple[str, Behaviour]:
    name, _, behaviour = (part.strip() for part in cue.rpartition("="))
    if not name or behaviour not in list(Behaviour):
        raise CueError(f"{cue!r} is not NAME=BEHAVIOUR; a behaviour is one of {', '.join(Behaviour)}.")
    return name, Behaviour(behaviour)
