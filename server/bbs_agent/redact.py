# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping secrets out of logs and reports, also those a child process happens to print."""

import logging
from typing import Any, Set

MASK = "********"
# Masking a two-letter password would garble every other word and hide nothing.
SHORTEST = 5
SECRET_NAMES = ("password", "passphrase", "secret", "access_key", "api_key", "token")


class Redactor(logging.Filter):
    """Knows the secrets of this run and masks them; as a logging filter it cleans every record."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: Set[str] = set()

    def learn(self, secret: str) -> None:
        """Mask `secret` from now on; each long line of a key file counts on its own."""
        for line in secret.splitlines():
            if len(line.strip()) >= SHORTEST and not line.startswith("-----"):
                self._secrets.add(line.strip())

    def learn_from(self, value: Any, name: str = "") -> None:
        """Learn every text in a task (nested dicts and lists) that stands under a secret's name."""
        if isinstance(value, dict):
            for key, item in value.items():
                self.learn_from(item, str(key))
        elif isinstance(value, list):
            for item in value:
                self.learn_from(item, name)
        elif isinstance(value, str) and is_secret_name(name):
            self.learn(value)

    def clean(self, text: str) -> str:
        """`text` with every known secret replaced by asterisks."""
        # Longest first: one secret may be the beginning of another.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean one log record in place; never drops it."""
        record.msg, record.args = self.clean(record.getMessage()), None
        return True


def is_secret_name(name: str) -> bool:
    """Whether a key of a task or plugin config names a secret, such as `BORG_PASSPHRASE`."""
    lowered = name.lower()
    return lowered == "remote_ssh_key" or any(word in lowered for word in SECRET_NAMES)
