# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repositories that tasks have named, so that the doctor can look at them."""

from contextlib import suppress
from typing import List

from .files import read_json, write_json

MOST = 20


class Seen:
    """`seen.json`: the addresses of repositories, newest last, without what opens them."""

    def __init__(self, path: str) -> None:
        self._path = path

    def repositories(self) -> List[str]:
        """The addresses that were noted."""
        kept = (read_json(self._path) or {}).get("repositories")
        return [str(item) for item in kept] if isinstance(kept, list) else []

    def note(self, repository: str) -> None:
        """A task uses this repository."""
        known = self.repositories()
        if repository not in known:
            with suppress(OSError):
                write_json(self._path, {"repositories": (known + [repository])[-MOST:]})
