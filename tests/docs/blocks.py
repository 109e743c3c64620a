# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The marked code blocks of the pages, which a test runs as a reader would.

The mark stands behind the language of a block, where neither GitHub nor the site shows it:

=====================  ===============================================================================
```` ```sh run````       is run by bash, and has to succeed
```` ```yaml file=F````  is saved as F in the reader's folder
```` ```text output````  is what the block before it prints, among other lines; ``…`` stands for anything
=====================  ===============================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(?P<language>\w+) (?P<mark>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"run|output|file=[\w./-]+")


class BlockError(Exception):
    """A mark that means nothing."""


@dataclass(frozen=True)
class Block:
    """A marked block of a page."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def file(self) -> str:
        """The name under which the reader saves it; empty for others."""
        return self.mark.removeprefix("file=") if self.mark.startswith("file=") else ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The marked blocks of a page in order.

    :raises BlockError: a mark that is not known.
    """
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        block = Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["mark"], found["text"])
        if not _MARK.fullmatch(block.mark) or (block.mark == "run" and block.language != "sh"):
            raise BlockError(f"{block}: nothing is known of a block marked {block.language} {block.mark}")
        yield block


def missing(expected: str, printed: str) -> list[str]:
    """The lines of ``expected`` that were not printed in this order; ``…`` stands for anything."""
    rest = iter(" ".join(line.split()) for line in printed.splitlines())
    absent = []
    for line in filter(None, (" ".join(line.split()) for line in expected.splitlines())):
        pattern = re.compile(re.escape(line).replace("…", ".*"))
        if line != "…" and not any(pattern.fullmatch(one) for one in rest):
            absent.append(line)
    return absent
