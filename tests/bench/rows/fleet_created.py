# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""bbs_fleet for a thousand hosts that are not there yet."""

from __future__ import annotations

from inventory import HOST, HOSTS, NAMES, PLAY, describe, store
from lab import Lab
from report import Row

from bbs_server.models import Repository

WITH_REPOSITORY = 20
ROW = Row(f"bbs_fleet: {HOSTS} hosts created, each a client, a plugin config and a plan", "s", ("<=", 60))


def measure(lab: Lab) -> tuple[float, dict[str, float]]:
    """Seconds of two playbooks: clients with their plugin configs, then plans.

    The repositories in between are put into the database. Making one is ``borg init``, a process that takes a core
    for a quarter of a second whoever asks for it: that is told for a few hosts, and not mixed with the rest.
    """
    describe(lab, name=HOST["name"], plugin_configs=HOST["plugin_configs"])
    registered = lab.play(PLAY, NAMES, forks=5)
    store(lab, Repository)
    describe(lab, **HOST)
    planned = lab.play(PLAY, NAMES, forks=5)
    more = [f"more{number}" for number in range(WITH_REPOSITORY)]
    complete = lab.play(PLAY, more, forks=5)
    return registered.seconds + planned.seconds, {
        "clients_and_plugin_configs_seconds": registered.seconds,
        "plans_seconds": planned.seconds,
        "seconds_for_each_host_with_borg_init": complete.seconds / WITH_REPOSITORY,
    }
