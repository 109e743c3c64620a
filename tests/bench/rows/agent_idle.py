# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an agent costs its machine while there is nothing to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

from agent import agent
from lab import Lab
from report import Row

from bbs_server.settings import Settings

ROW = Row("agent with nothing to do: resident memory", "MiB", ("<=", 25))
SETTLING_SECONDS = 3
SECONDS = 15
PER_HOUR = 3600 / Settings(directory=Path()).agent_poll_interval


def processor(pid: int) -> float:
    """Seconds of the processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MiB of memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def measure(lab: Lab) -> tuple[float, dict[str, float]]:
    """Resident memory; and what an hour of polls takes, counted from polls that follow one another each second."""
    with agent(lab) as running:
        time.sleep(SETTLING_SECONDS)
        before = processor(running.pid)
        time.sleep(SECONDS)
        spent = processor(running.pid) - before
        return resident(running.pid), {"processor_seconds_per_hour": spent / SECONDS * PER_HOUR}
