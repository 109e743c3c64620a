# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every backup plugin is."""

import os
import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from ..files import write_private
from ..host import Host
from ..job import Job

FALSE_WORDS = ("", "0", "false", "no", "off")


class PluginError(Exception):
    """A plugin failed; the text is one sentence for a person."""


class PluginScope(NamedTuple):
    """What a plugin may use: the job it runs for and this installation."""

    job: Job
    host: Host

    @contextmanager
    def private_file(self, name: str, text: str) -> Iterator[str]:
        """The path of a 0600 file in a 0700 directory that exists inside the `with` block only."""
        private = self.host.layout.private
        os.makedirs(private, mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="plugin-", dir=private) as directory:
            path = os.path.join(directory, name)
            write_private(path, text)
            yield path


class Plugin(ABC):
    """One attached plugin config, used from `pre` before borg to `clean_up` after it.

    Each step returns a line for the job's log ("" for none) and raises PluginError, or Cancelled.
    """

    label = ""

    def __init__(self, entry: Dict[str, Any], scope: PluginScope) -> None:
        """`entry`: `{slug, config, config_id?, config_name?}` as the task carries it."""
        config = entry.get("config")
        # Upstream sends an empty config as [].
        self.config: Dict[str, Any] = config if isinstance(config, dict) else {}
        self.entry = entry
        self.scope = scope

    @property
    def aborts(self) -> bool:
        """Whether a failure of this plugin ends the backup."""
        return truth(self.config.get("abort_on_failure"), False)

    def pre(self) -> str:
        """Do what has to be done before borg reads the files."""
        return ""

    def post(self, _result: str) -> str:
        """Do what has to be done after the backup ended with `completed` or `failed`."""
        return ""

    def clean_up(self) -> str:
        """Remove what `pre` made; called after a completed backup only."""
        return ""

    @abstractmethod
    def test(self) -> str:
        """Try the plugin without a backup."""

    def database_group(self) -> Optional[Dict[str, Any]]:
        """This plugin's entry in `databases_backed_up`, None when it dumped nothing."""
        return None


def truth(value: Any, default: bool) -> bool:
    """A checkbox of a plugin config; the server stores text such as "0" or "false" as it came."""
    if value is None:
        return default
    if isinstance(value, str):
        return value.strip().lower() not in FALSE_WORDS
    return bool(value)


def names(value: Any, default: List[str]) -> List[str]:
    """A list of names: a JSON list or a text with commas or line breaks between them."""
    if value is None:
        return default
    parts = value if isinstance(value, list) else str(value).replace("\n", ",").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def number(value: Any, default: int) -> int:
    """A positive whole number, whatever type it was stored as."""
    try:
        found = int(value)
    except (TypeError, ValueError):
        return default
    return found if found > 0 else default
