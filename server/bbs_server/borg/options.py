# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of ``borg create`` that a plan may carry."""

from __future__ import annotations

from collections.abc import Iterator

from bbs_server.borg import values
from bbs_server.borg.values import Check

FLAGS = frozenset(
    {
        "--exclude-caches", "--keep-exclude-tags", "--exclude-nodump", "--one-file-system", "-x",
        "--numeric-ids", "--numeric-owner", "--noatime", "--atime", "--noctime", "--nobirthtime", "--noflags",
        "--nobsdflags", "--noacls", "--noxattrs", "--sparse", "--read-special", "--no-files-cache",
    }
)  # fmt: skip
"""Options without a value."""

VALUED: dict[str, Check] = {
    "--compression": values.compression,
    "-C": values.compression,
    "--exclude": values.pattern,
    "-e": values.pattern,
    "--exclude-from": values.anything,
    "--exclude-if-present": values.anything,
    "--pattern": values.pattern_command,
    "--patterns-from": values.anything,
    "--comment": values.text,
    "--chunker-params": values.chunker_params,
    "--checkpoint-interval": values.whole,
    "--files-cache": values.files_cache,
    "--upload-ratelimit": values.whole,
    "--upload-buffer": values.whole,
    "--remote-ratelimit": values.whole,
    "--remote-buffer": values.whole,
    "--lock-wait": values.whole,
    "--umask": values.octal,
}
"""Options with a value, and what it has to be."""


class OptionError(ValueError):
    """An option borg should not be given; the message names it."""


def split_options(text: str) -> list[str]:
    """Split the text as agents expect it: on white space, each value joined to its option (agent-protocol.md §10.1).

    Only options listed here pass, so that no text can name another program, another ssh command
    or another repository.

    :raises OptionError: an option that is not allowed, a value that borg does not take, or one without or besides
        an option.
    """
    result: list[str] = []
    words = iter(text.split())
    for word in words:
        name, joined, value = word.partition("=")
        if name in FLAGS and not joined:
            result.append(word)
        elif name in VALUED:
            result.append(_with_value(name, value if joined else _following(words)))
        else:
            allowed = ", ".join(sorted(FLAGS | set(VALUED)))
            raise OptionError(f"{word[:40]!r} is not an option a plan may use. Allowed: {allowed}.")
    return result


def _following(words: Iterator[str]) -> str:
    """The next word, unless it is an option."""
    word = next(words, "")
    return "" if word.startswith("-") else word


def _with_value(name: str, value: str) -> str:
    if not value:
        raise OptionError(f"{name} needs a value; one that begins with a dash is written {name}=VALUE.")
    if problem := VALUED[name](value):
        raise OptionError(f"{name} {value[:40]!r} {problem}.")
    return f"{name}={value}" if name.startswith("--") else f"{name}{value}"
