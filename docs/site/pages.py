# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The project's Markdown pages: which there are, where they link to, and what in them can be linked to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = ROOT / "docs" / "README.md"

_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True)
class Link:
    """A link or a picture of a page, such as ``guides/tokens.md#scopes``."""

    page: Path
    line: int
    target: str

    @property
    def external(self) -> bool:
        """Whether it leads out of the project."""
        return re.match(r"[a-z][a-z+.-]*:", self.target) is not None

    @property
    def anchor(self) -> str:
        """What stands behind the ``#``."""
        return self.target.partition("#")[2]

    @property
    def path(self) -> Path:
        """The file it leads to."""
        name = self.target.partition("#")[0]
        return (self.page.parent / name).resolve() if name else self.page

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.target}"


def pages() -> list[Path]:
    """All pages, as absolute paths in order."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "roles").glob("*/README.md"))]


def links(page: Path) -> Iterator[Link]:
    """All links of a page, but those shown as code."""
    text = _without_code(page.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        yield Link(page, text.count("\n", 0, found.start()) + 1, found[0])


def with_links(text: str, replacement: Callable[[str], str]) -> str:
    """The text with another target in each link; code stays as it is."""
    bare = _without_code(text)
    parts, end = [], 0
    for found in _LINK.finditer(bare):
        parts += [text[end : found.start()], replacement(found[0])]
        end = found.end()
    return "".join([*parts, text[end:]])


def anchors(page: Path) -> set[str]:
    """What GitHub and the site make of the page's headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def _without_code(text: str) -> str:
    """The same with blanks in place of code, so that positions stay."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return _CODE.sub(blank, _FENCE.sub(blank, text))
