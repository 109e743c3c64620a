# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of ``borg create`` that a plan may carry."""

from __future__ import annotations

FLAGS = frozenset(
    {
        "--exclude-caches", "--keep-exclude-tags", "--exclude-nodump", "--one-file-system", "-x",
        "--numeric-ids", "--numeric-owner", "--noatime", "--atime", "--noctime", "--nobirthtime", "--noflags",
        "--nobsdflags", "--noacls", "--noxattrs", "--sparse", "--read-special", "--no-files-cache",
    }
)  # fmt: skip
"""Options without a value."""

VALUED = frozenset(
    {
        "--compression", "-C", "--exclude", "-e", "--exclude-from", "--exclude-if-present", "--pattern",
        "--patterns-from", "--comment", "--chunker-params", "--checkpoint-interval", "--files-cache",
        "--upload-ratelimit", "--upload-buffer", "--remote-ratelimit", "--remote-buffer", "--lock-wait", "--umask",
    }
)  # fmt: skip
"""Options with a value."""


class OptionError(ValueError):
    """An option borg should not be given; the message names it."""


def split_options(text: str) -> list[str]:
    """Split the text as agents expect it: on white space, each value joined to its option (agent-protocol.md §10.1).

    Only options listed here pass, so that no text can name another program, another ssh command
    or another repository.

    :raises OptionError: an option that is not allowed, or a value without or besides an option.
    """
    result: list[str] = []
    words = iter(text.split())
    for word in words:
        name, joined, _ = word.partition("=")
        if (name in FLAGS and not joined) or (name in VALUED and joined):
            result.append(word)
        elif name in VALUED:
            value = next(words, None)
            if value is None or value.startswith("-"):
                raise OptionError(f"{name} needs a value.")
            result.append(f"{name}={value}" if name.startswith("--") else f"{name}{value}")
        else:
            allowed = ", ".join(sorted(FLAGS | VALUED))
            raise OptionError(f"{word[:40]!r} is not an option a plan may use. Allowed: {allowed}.")
    return result
