# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws what a terminal showed as an SVG, which needs no fonts or scripts from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

_SIZE, _LEADING, _MARGIN = 13, 19, 18
_WIDTH = _SIZE * 0.602
"""Of a character, in the monospaced fonts that are common."""

_TEXT, _COMMAND = "#d7dde4", "#ffffff"
_COLOURS = ("#6e7681", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff")

_STYLE = re.compile(r"\x1b\[([\d;]*)m")
_OTHER = re.compile(r"\x1b\[[\d;?]*[A-Za-ln-z]|\r")


def drawing(command: str, output: str) -> str:
    """The SVG of a command and its output, which may have ANSI colours."""
    lines = [[("$ ", _COLOURS[2], False), (command, _COMMAND, True)], *map(list, _lines(output))]
    columns = max(sum(len(text) for text, *_ in line) for line in lines)
    width, height = round(columns * _WIDTH + 2 * _MARGIN), len(lines) * _LEADING + 2 * _MARGIN
    rows = "\n".join(_row(number, line) for number, line in enumerate(lines) if line)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img"'
        f" font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\""
        f' font-size="{_SIZE}">\n<title>{escape(command)}</title>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#161b22"/>\n{rows}\n</svg>\n'
    )


def _lines(output: str) -> Iterator[Iterator[tuple[str, str, bool]]]:
    """Each line as pieces of text with colour and weight; a style goes on until another comes."""
    colour, bold = _TEXT, False
    for line in _OTHER.sub("", output).splitlines():
        pieces = _STYLE.split(line)
        found = [(pieces[0], colour, bold)]
        for codes, text in zip(pieces[1::2], pieces[2::2], strict=True):
            for code in (int(code or 0) for code in codes.split(";")):
                if code == 0:
                    colour, bold = _TEXT, False
                elif code == 1:
                    bold = True
                elif 30 <= code % 60 <= 37:
                    colour = _COLOURS[code % 60 - 30]
            found.append((text, colour, bold))
        yield (piece for piece in found if piece[0])


def _row(number: int, pieces: list[tuple[str, str, bool]]) -> str:
    spans = "".join(_span(*piece) for piece in pieces)
    return f'<text x="{_MARGIN}" y="{_MARGIN + _SIZE + number * _LEADING}" xml:space="preserve">{spans}</text>'


def _span(text: str, colour: str, bold: bool) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<tspan fill="{colour}"{weight}>{escape(text)}</tspan>'
