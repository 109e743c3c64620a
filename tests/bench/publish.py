# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of a whole run: the table in docs/performance.md and the picture beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import picture
from report import Failed, Measured, markdown

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
FIGURES = re.compile(r"(?<=<!-- begin of the figures -->\n).*(?=<!-- end of the figures -->)", re.DOTALL)


def publish(found: Sequence[Measured | Failed], machine: Mapping[str, Any], seconds: float) -> None:
    """Write both anew.

    :param seconds: what the run took
    """
    when = f"{datetime.now(UTC):%Y-%m-%d}, {machine['cores']} cores, Python {machine['python']}, {seconds:.0f} s in all"
    figures = f"\nThe last whole run: {when}.\n\n{markdown(found)}\n\n"
    page, places = FIGURES.subn(lambda _: figures, PAGE.read_text(encoding="utf-8"))
    assert places == 1, f"{PAGE} has no place for the figures."
    PAGE.write_text(page, encoding="utf-8")
    growth = [one for one in found if one.name == "growth" and isinstance(one, Measured)]
    if growth:
        sizes = [int(name.removeprefix("with_")) for name in growth[0].details]
        picture.draw(sizes, {one.row.title.partition(":")[0]: list(one.details.values()) for one in growth})
