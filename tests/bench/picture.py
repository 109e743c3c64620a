# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests a second against the size of the fleet, as a picture for docs/performance.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "pictures" / "growth.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 70, 170, 30, 50
LABEL_HEIGHT = 15
COLOURS = ("#0b6e99", "#c4572b", "#4f7a28", "#7a4fa0")


def draw(sizes: Sequence[int], rates: Mapping[str, Sequence[float]]) -> None:
    """Write the picture; both axes begin at zero or are logarithmic, and say so."""
    most = max(max(found) for found in rates.values()) * 1.1
    step = 10 ** math.floor(math.log10(most))
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(rate: float) -> float:
        return HEIGHT - BOTTOM - rate / most * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13"><title>Requests a second against the size of the fleet</title>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18">requests/s</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        "clients (each with a repository and a plan; logarithmic)</text>",
    ]
    for rate in range(0, int(most) + 1, step):
        parts.append(f'<path d="M{LEFT} {y(rate):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate:,}</text>')
    for size in sizes:
        parts.append(f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{size:,}</text>')
    labels = _apart({name: y(found[-1]) for name, found in rates.items()})
    for (name, found), colour in zip(rates.items(), COLOURS, strict=False):
        points = [(x(size), y(rate)) for size, rate in zip(sizes, found, strict=True)]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>' for px, py in points]
        parts.append(f'<text x="{points[-1][0] + 10:.1f}" y="{labels[name] + 4:.1f}" fill="{colour}">{name}</text>')
    FILE.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Where labels stand, moved down where they would cover the one above."""
    moved: dict[str, float] = {}
    lowest = -math.inf
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        lowest = moved[name] = max(height, lowest + LABEL_HEIGHT)
    return moved
