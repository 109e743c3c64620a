# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where log lines go: standard output (the journal, a terminal) and the log file."""

import logging
import logging.handlers
import os
import sys
from typing import List

from .redact import Redactor

LOG = logging.getLogger("bbs-agent")
FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
LARGEST_FILE = 5 * 1024 * 1024
KEPT_FILES = 3


class _CleanFormatter(logging.Formatter):
    """Masks secrets in the whole line, so in a traceback too, which a filter does not see."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(FORMAT)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.clean(super().format(record))


def set_up_logging(log_file: str, redactor: Redactor, quiet: bool = False) -> None:
    """Log to `log_file` and, unless `quiet`, to standard output.

    A log file that cannot be opened (read-only disk) costs one warning, not the backup.
    """
    handlers: List[logging.Handler] = []
    if not quiet:
        handlers.append(logging.StreamHandler(sys.stdout))
    problem = ""
    try:
        handlers.append(_private_log_file(log_file))
    except OSError as error:
        problem = str(error)
    for handler in handlers:
        handler.setFormatter(_CleanFormatter(redactor))
        LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    if problem:
        LOG.warning("No log file: %s", problem)


def _private_log_file(path: str) -> logging.Handler:
    """A rotating log file; created 0600 because paths and hook output are nobody else's business."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return logging.handlers.RotatingFileHandler(path, maxBytes=LARGEST_FILE, backupCount=KEPT_FILES, encoding="utf-8")
