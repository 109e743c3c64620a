# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How workers of one machine tell a living one from one that was killed: each holds a file locked while it lives.

So the leases of a killed one need not run out before another one on its machine goes on.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bbs_server.processes.pid_file import PidFile
from bbs_server.runtime import Runtime
from bbs_server.scheduling import leases

logger = logging.getLogger(__name__)

_PREFIX = "worker-"


@contextmanager
def shown(run: Runtime, who: str) -> Iterator[None]:
    """Hold this worker's file inside the ``with`` block.

    :param who: its name, see :func:`leases.holder`.
    """
    file = run.settings.run_directory / f"{_PREFIX}{who}"
    with _held_by(file).holding():
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def inherit(run: Runtime) -> None:
    """Free the leases of workers that were killed on this machine.

    The jobs they did keep theirs: a borg that ends with its worker takes a while to leave its repository in order.
    """
    # Only this machine's: not every network file system shows locks to others.
    for file in run.settings.run_directory.glob(f"{_PREFIX}{socket.gethostname()[:64]}:*"):
        if _held_by(file).pid() is None:
            who = file.name.removeprefix(_PREFIX)
            logger.warning("The worker %s was killed; what it led is free.", who)
            leases.release(run, who)
            file.unlink(missing_ok=True)


def _held_by(file: Path) -> PidFile:
    return PidFile(file, "The worker")
