# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trading the key an agent was installed with for one that nobody else has seen (docs/adr/0001)."""

import re
from typing import Any, Dict, Optional

from .api import Api, KeyRejected
from .config import Config, ConfigError, own_key, replace_key
from .logs import LOG

USABLE_KEY = re.compile(r"[!-~]{32,256}\Z")


class KeyExchange:
    """What one agent has to do for a key of its own: ask when it registers, keep the answer.

    The server takes the old key until it sees the new one. So an answer that was lost, or could not
    be kept, costs nothing but asking again.
    """

    def __init__(self, config: Config) -> None:
        self._path = config.layout.config
        self._key = config.api_key
        self._wanted = config.exchange_key and config.traded_key is None
        self._can_keep: Optional[bool] = None

    def question(self) -> Dict[str, bool]:
        """What to add to the registration; nothing unless the answer can be kept."""
        if not self._wanted:
            return {}
        if self._can_keep is None:
            self._can_keep = self._kept(self._key)
        return {"exchange_key": True} if self._can_keep else {}

    def answer(self, reply: Dict[str, Any]) -> Optional[str]:
        """The new key of a reply to the question, once it is on disk; None to go on with the old one.

        A server that does not know the question (upstream's) gives none: then it is not asked again.
        """
        key = reply.get("agent_key")
        if not self._wanted or not self._can_keep:
            return None
        if not isinstance(key, str) or not USABLE_KEY.match(key):
            self._wanted = False
            return None
        if not self._kept(key):
            return None
        self._wanted = False
        LOG.info("This agent has a key of its own now; the one it was installed with opens nothing any more")
        return key

    def _kept(self, key: str) -> bool:
        try:
            replace_key(self._path, self._key, key)
        except (OSError, ConfigError, UnicodeDecodeError) as error:
            LOG.warning("Keeping the key that this agent was installed with: cannot write config.ini (%s)", error)
            return False
        return True


def key_in_use(path: str, url: str, given: str, ca_file: Optional[str]) -> str:
    """The key to use where a person gives `given`: the agent's own, if it was traded for that.

    A server that was restored from an older backup does not know it, and then `given` is right again.
    Raises ApiError for any other trouble with the server.
    """
    own = own_key(path, given)
    if own is None:
        return given
    try:
        Api(url, own, ca_file).heartbeat()
    except KeyRejected:
        return given
    return own
