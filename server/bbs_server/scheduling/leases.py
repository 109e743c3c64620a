# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leases: what one worker at a time may do, until its time is over.

A worker renews its leases while it lives. One that was killed, or whose machine is gone, loses them
after the setting ``lease_seconds``, and another worker goes on. Nothing depends on a lease being
exclusive: a worker that was only frozen and wakes up late finds every write guarded.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta

from bbs_server.models import Job, Lease
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import jobs

SCHEDULING, UPKEEP = "scheduling", "upkeep"


def holder(run: Runtime) -> str:
    """A name for this process that no other has: on this machine or another, now or later."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{run.token_bytes(4).hex()}"


def take(run: Runtime, name: str, who: str) -> bool:
    """Get a lease that is free or one's own, for another ``lease_seconds``; returns whether it is one's own now."""
    with run.writing():
        mine = (Lease.name == name) & ((Lease.holder == who) | (Lease.expires_at <= run.clock()))
        if Lease.update(holder=who, expires_at=_expiry(run)).where(mine).execute():
            return True
        made = Lease.insert(name=name, holder=who, expires_at=_expiry(run)).on_conflict_ignore()
        made.execute()
        return bool(Lease.select().where((Lease.name == name) & (Lease.holder == who)).exists())


def for_job(run: Runtime, who: str) -> dict[str, object]:
    """The columns that lease a job to a worker."""
    return {"lease_holder": who, "lease_expires_at": _expiry(run)}


def renew(run: Runtime, who: str) -> None:
    """Say that a worker is alive: all that it holds is its own for another ``lease_seconds``."""
    with run.writing():
        Lease.update(expires_at=_expiry(run)).where(Lease.holder == who).execute()
        Job.update(lease_expires_at=_expiry(run)).where(
            ((Job.status == states.RUNNING) | jobs.stopping()) & (Job.lease_holder == who)
        ).execute()


def release(run: Runtime, who: str) -> None:
    """Leave everything to others at once, at the end of a worker."""
    with run.writing():
        Lease.delete().where(Lease.holder == who).execute()


def _expiry(run: Runtime) -> datetime:
    return run.clock() + timedelta(seconds=run.settings.lease_seconds)
