# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the agent waits for what; one place, so that tests can shrink it."""

import random
from typing import Callable, Tuple


class Timing:
    """Seconds, with the values of agent-protocol.md §5 as defaults."""

    def __init__(
        self,
        progress: float = 5.0,
        heartbeat_floor: float = 10.0,
        tick: float = 0.5,
        kill_grace: float = 10.0,
        retries: Tuple[float, ...] = (5, 10, 20, 40, 80),
        jitter: float = 0.1,
        burst: float = 2.0,
        burst_length: float = 60.0,
        poll_floor: float = 1.0,
        ssh_again: float = 10.0,
        register_again: float = 3600.0,
        randomly: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Arguments, all in seconds unless said otherwise:

        progress: at most one report of counters in this time.
        heartbeat_floor: a running task sends heartbeats at the poll interval, but not faster.
        tick: how often the background thread of a job looks whether something is due.
        kill_grace: from SIGTERM to SIGKILL for a process group.
        retries: waits between attempts of a final report; the last one repeats.
        jitter: share of the poll interval (0.1 is plus or minus ten percent).
        poll_floor: the shortest poll interval a server can ask for.
        ssh_again: while ssh does not work, it is tried again after this time.
        register_again: facts such as borg's version, and host keys, are renewed this often.
        burst, burst_length: poll interval after a directory listing, and for how long.
        randomly: a number between two others.
        """
        self.progress = progress
        self.heartbeat_floor = heartbeat_floor
        self.tick = tick
        self.kill_grace = kill_grace
        self.retries = retries
        self.jitter = jitter
        self.burst = burst
        self.burst_length = burst_length
        self.poll_floor = poll_floor
        self.ssh_again = ssh_again
        self.register_again = register_again
        self._randomly = randomly

    def jittered(self, seconds: float) -> float:
        """A wait of about `seconds`: agents that were started together shall not ask together for ever."""
        return seconds * self._randomly(1 - self.jitter, 1 + self.jitter)
