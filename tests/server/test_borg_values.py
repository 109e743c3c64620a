# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of borg's options: what is refused early, beside what the installed borg itself refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import pytest

from bbs_server.borg import values
from bbs_server.borg.options import OptionError, split_options

BORGS_OWN = """
import json, sys
from borg.compress import CompressionSpec
from borg.helpers import ChunkerParams, CommentSpec, FilesCacheMode
from borg.patterns import parse_exclude_pattern, parse_inclexcl_command

PARSERS = {
    "compression": CompressionSpec, "chunker_params": ChunkerParams, "files_cache": FilesCacheMode,
    "pattern": parse_exclude_pattern, "pattern_command": parse_inclexcl_command, "text": CommentSpec,
    "whole": int, "octal": lambda text: int(text, 8),
}

def takes(kind, value):
    try:
        PARSERS[kind](value)
    except Exception:
        return False
    return True

json.dump([takes(kind, value) for kind, value in json.load(sys.stdin)], sys.stdout)
"""
EXPONENTS = ("5", "6", "19", "23", "24", "x")
PATTERNS = (
    "*.tmp", "/home/*/.cache", "re:", "re:\\.bak$", "re:(", "re:a{2,1}", "re:a{99999999999999}", "re:[b-a]", "sh:**/x",
    "fm:*.o", "pf:/etc/motd", "pp:/etc", "xy:/etc", "RE:a", "C:/x", "a:b", "é:b", "12:00", "..:x", "::", "xy:",
)  # fmt: skip
COMMANDS = (
    "", "-", "+ ", "x", "- *.tmp", "-*.tmp", "+sh:/home", "!/proc", "R /", "r", "P sh", "p re", "Pxy", "-re:(", "+xy:a",
    "re:(", "P", "-- x",
)  # fmt: skip
TEXTS = (
    "plain", "{hostname}", "{now:%Y-%m-%d}", "{utcnow}-{user}", "{nonsense}", "{hostname!r}", "{{}}", "{", "}", "{}",
    "{now", "a{fqdn}b{reverse-fqdn}", "{pid}{uuid4}{borgversion}{borgmajor}{borgminor}{borgpatch}", "{now.year}",
)  # fmt: skip
NUMBERS = ("0", "600", "-1", "+5", "1_000", "007", "0o77", "8", "1.5", "ten", "0x10", "9" * 5000)


def cases() -> Iterator[tuple[str, str]]:
    words = ("none", "lz4", "zstd", "zlib", "lzma", "auto", "obfuscate", "LZ4", "", "0", "+3", "9", "22", "23", "111")
    for count in (1, 2, 3, 4):
        yield from (("compression", ",".join(chosen)) for chosen in product(words, repeat=count))
    yield from (("compression", f"obfuscate,3,auto,zstd,{level}") for level in ("1", "30", "1,2"))
    sizes = ("fixed", "default", "63", "64", str(20 * 2**20 - 41), str(20 * 2**20), "-1", "")
    for count in (1, 2, 3):
        yield from (("chunker_params", ",".join(chosen)) for chosen in product(sizes, repeat=count))
    for exponents in product(EXPONENTS, repeat=4):
        yield from (("chunker_params", start + ",".join(exponents)) for start in ("", "buzhash,", "BUZHASH,", "rabin,"))
    modes = ("ctime", "mtime", "size", "inode", "rechunk", "disabled", "atime", "")
    for count in (1, 2, 3):
        yield from (("files_cache", ",".join(chosen)) for chosen in permutations(modes, count))
    yield from (("pattern", value) for value in PATTERNS)
    yield from (("pattern_command", value) for value in COMMANDS)
    yield from (("text", value) for value in TEXTS)
    yield from ((kind, value) for kind in ("whole", "octal") for value in NUMBERS)


def test_the_installed_borg_agrees_with_every_answer() -> None:
    borg = shutil.which("borg")
    assert borg is not None
    interpreter = Path(borg).read_text().splitlines()[0].removeprefix("#!").split()[0]
    asked = list(cases())
    answers = subprocess.run(
        [interpreter, "-c", BORGS_OWN], input=json.dumps(asked), capture_output=True, text=True, check=True
    )

    taken = [getattr(values, kind)(value) is None for kind, value in asked]

    other = [case for case, ours, borgs in zip(asked, taken, json.loads(answers.stdout), strict=True) if ours != borgs]
    assert other == []
    assert {kind for (kind, _), ours in zip(asked, taken, strict=True) if not ours} == {kind for kind, _ in asked}


def test_what_other_versions_take_is_let_through() -> None:
    assert values.compression("obfuscate,250,zstd,3") is None  # since 1.4
    assert values.pattern("re:a(?i)b") is None  # Python 3.10 and older
    assert values.pattern("re:" + "(" * 5000 + ")" * 5000) is None
    assert values.text("{unixtime}") is None  # since 1.4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("--compression zstdd", "--compression 'zstdd' must be none, lz4, zstd or zstd,1 to zstd,22, zlib or"),
        ("--compression=zstd,99", "--compression 'zstd,99' must be"),
        ("-C lzo", "-C 'lzo' must be none"),
        ("--checkpoint-interval abc", "--checkpoint-interval 'abc' must be a whole number."),
        ("--chunker-params 19,23", "--chunker-params '19,23' must be default, fixed"),
        ("--files-cache ctime", "--files-cache 'ctime' must be one of disabled; size; ctime,inode,size;"),
        ("--umask 9", "--umask '9' must be an octal number"),
        ("--exclude re:(", "--exclude 're:(' is no regular expression: missing ), unterminated subpattern"),
        ("-e xy:a", "-e 'xy:a' begins with xy:, which is no style of patterns; there are fm:, sh:, re:, pp:, pf:"),
        ("--pattern *.tmp", "--pattern '*.tmp' must be a pattern after + (include), - (exclude) or !"),
        ("--comment {host}", "--comment '{host}' has an unknown placeholder; there are {borgmajor}"),
        ("--exclude --noatime", "--exclude needs a value; one that begins with a dash is written --exclude=VALUE."),
        ("-e=", "-e needs a value"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(OptionError) as error:
        split_options(text)
    assert told in str(error.value)


def test_values_are_joined_to_their_options() -> None:
    text = "--compression auto,zstd,3 -C lz4 -e=*.tmp --pattern=-*.o --exclude-from /etc/no --noatime"

    assert split_options(text) == [
        "--compression=auto,zstd,3", "-Clz4", "-e*.tmp", "--pattern=-*.o", "--exclude-from=/etc/no", "--noatime",
    ]  # fmt: skip
