# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What borg takes as the value of an option: told when a plan is stored, not when its backup runs at night.

Each check returns what is wrong, as the rest of a sentence, or None. Refused is only what no borg 1.x takes
(``borg help compression``, ``borg help patterns``, ``borg help placeholders``, ``borg create --help``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter

Check = Callable[[str], str | None]

_LEVELS = {"zlib": range(10), "lzma": range(10), "zstd": range(1, 23)}
_OBFUSCATIONS = {*range(1, 7), *range(110, 124), 250}
_SMALLEST_BLOCK = 64
_LARGEST_BLOCK = 20 * 2**20 - 41
_CHUNK_EXPONENTS = range(6, 24)
_CACHE_MODES = (
    {"disabled"}, {"size"}, {"ctime", "size", "inode"}, {"mtime", "size", "inode"}, {"ctime", "size"},
    {"mtime", "size"}, {"ctime", "rechunk"}, {"mtime", "rechunk"},
)  # fmt: skip
_PATTERN_STYLES = ("fm", "sh", "re", "pp", "pf")
_PLACEHOLDERS = frozenset(
    {
        "hostname", "fqdn", "reverse-fqdn", "now", "utcnow", "unixtime", "user", "pid", "uuid4",
        "borgversion", "borgmajor", "borgminor", "borgpatch",
    }
)  # fmt: skip


def anything(_value: str) -> str | None:
    """A value that only the client can judge, such as the name of a file there."""
    return None


def compression(value: str) -> str | None:
    """A compression, such as ``zstd,10`` or ``auto,lzma,6``."""
    if _is_compression(value.split(",")):
        return None
    return (
        "must be none, lz4, zstd or zstd,1 to zstd,22, zlib or zlib,0 to zlib,9, lzma or lzma,0 to lzma,9,"
        " or one of these after auto, or after obfuscate with its number (1 to 6, 110 to 123, or 250)"
    )


def chunker_params(value: str) -> str | None:
    """How files are cut, such as ``buzhash,19,23,21,4095`` or ``fixed,4194304``."""
    if _are_chunker_params(value.strip().lower().split(",")):
        return None
    return (
        "must be default, fixed with a block size of 64 bytes to 20 MiB, such as fixed,4194304, or buzhash with the"
        " exponents of the smallest chunk (at least 6), the largest (at most 23) and the usual one between them, and"
        " the window's size, such as buzhash,19,23,21,4095"
    )


def files_cache(value: str) -> str | None:
    """What tells that a file has not changed, such as ``mtime,size,inode``."""
    if set(value.strip().split(",")) in _CACHE_MODES:
        return None
    return f"must be one of {'; '.join(','.join(sorted(mode)) for mode in _CACHE_MODES)} (in any order)"


def whole(value: str) -> str | None:
    """A whole number."""
    return None if _number(value) is not None else "must be a whole number"


def octal(value: str) -> str | None:
    """File permissions, such as ``0077``."""
    return None if _number(value, base=8) is not None else "must be an octal number such as 0077"


def pattern(value: str) -> str | None:
    """A pattern of paths, such as ``*.tmp``, ``sh:/home/*/.cache`` or ``re:\\.bak$``."""
    style, colon, rest = value[:2], value[2:3], value[3:]
    if colon != ":" or not style.isalnum():
        return None
    if style not in _PATTERN_STYLES:
        known = ", ".join(f"{known}:" for known in _PATTERN_STYLES)
        return f"begins with {style}:, which is no style of patterns; there are {known} and patterns without any"
    return _regular_expression(rest) if style == "re" else None


def pattern_command(value: str) -> str | None:
    """A line of a file of patterns, such as ``-*.tmp``, ``+sh:/home`` or ``!/proc``."""
    command, rest = value[:1], value[1:].lstrip()
    if command not in tuple("+-!RrPp") or not rest:
        return "must be a pattern after + (include), - (exclude) or ! (do not even look), such as -*.tmp"
    if command in "Pp":
        return None if rest in _PATTERN_STYLES else f"must name one of the styles {', '.join(_PATTERN_STYLES)} after P"
    return None if command in "Rr" else pattern(rest)


def text(value: str) -> str | None:
    """A text with placeholders, such as ``{hostname}``."""
    try:
        fields = [(name, conversion) for _, name, _, conversion in Formatter().parse(value) if name is not None]
    except ValueError:
        return "has a brace without its counterpart; {{ and }} stand for braces"
    if all(name in _PLACEHOLDERS and not conversion for name, conversion in fields):
        return None
    return f"has an unknown placeholder; there are {', '.join(f'{{{name}}}' for name in sorted(_PLACEHOLDERS))}"


def _is_compression(words: list[str]) -> bool:
    name, rest = words[0], words[1:]
    if name in _LEVELS:
        return not rest or (len(rest) == 1 and _number(rest[0]) in _LEVELS[name])
    if name == "auto":
        return 1 <= len(rest) <= 2 and _is_compression(rest)
    if name == "obfuscate":
        return 2 <= len(rest) <= 4 and _number(rest[0]) in _OBFUSCATIONS and _is_compression(rest[1:])
    return name in ("none", "lz4")


def _are_chunker_params(words: list[str]) -> bool:
    if words[0] == "fixed":
        sizes = [_number(word) for word in words[1:]]
        bounded = all(size is not None and size <= _LARGEST_BLOCK for size in sizes)
        return bounded and len(sizes) in (1, 2) and (sizes[0] or 0) >= _SMALLEST_BLOCK
    exponents = [_number(word) for word in (words[1:] if words[0] == "buzhash" else words)]
    if len(exponents) != 4 or None in exponents:
        return words == ["default"]
    smallest, largest, usual, _window = (exponent or 0 for exponent in exponents)
    return smallest <= usual <= largest and smallest in _CHUNK_EXPONENTS and largest in _CHUNK_EXPONENTS


def _regular_expression(expression: str) -> str | None:
    try:
        re.compile(expression)
    except RecursionError:
        # How deep brackets may go, the client's Python decides.
        return None
    except (re.error, OverflowError) as error:
        # Older Pythons take flags that stand elsewhere.
        late_flags = "global flags not at the start" in str(error)
        return None if late_flags else f"is no regular expression: {error}"
    return None


def _number(word: str, base: int = 10) -> int | None:
    try:
        return int(word, base)
    except ValueError:
        return None
