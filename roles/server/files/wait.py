# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until the server answers and its services run; sees at once when systemd cannot start one of them.

Runs on the server's host: wait.py URL SECONDS UNIT... On standard error it says in one line what is wrong.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException

STARTS = 2
"""So often systemd may start a service anew before it counts as failed: what it needs may come up later than itself."""

WORDS = 5
"""How many of a service's last lines are told."""


def fault(url: str) -> str:
    """What is wrong with the server's answer, empty when nothing is."""
    # Asked on the machine itself, under a name that no certificate has.
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
    )
    try:
        opener.open(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}"
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", error))
    return ""


def states(units: list[str]) -> dict[str, tuple[str, int]]:
    """Of each unit its state, and how often systemd has started it anew."""
    command = ["systemctl", "show", "--property=Id,ActiveState,NRestarts", *units]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    shown = [dict(line.split("=", 1) for line in part.splitlines()) for part in told.strip().split("\n\n")]
    return {unit["Id"]: (unit["ActiveState"], int(unit["NRestarts"])) for unit in shown}


def last_words(unit: str, since: int) -> str:
    """What a service wrote last, each line once; what systemd says of it, when it has not written anything.

    :param since: seconds since the epoch; what is older was about something else.
    """
    journal = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={WORDS}"]
    for which in ([f"_SYSTEMD_UNIT={unit}", f"--since=@{since}"], [f"--unit={unit}"]):
        done = subprocess.run([*journal, *which], stdout=subprocess.PIPE, text=True, errors="replace", check=True)
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if lines:
            return " | ".join(dict.fromkeys(lines))
    return "none"


def wait(url: str, seconds: float, units: list[str]) -> str:
    """Why the server does not run, empty when it does."""
    since, deadline, before = int(time.time()), time.monotonic() + seconds, states(units)
    while True:
        wrong, now = fault(url), states(units)
        for unit, (state, restarts) in now.items():
            if state == "failed" or restarts - before[unit][1] >= STARTS:
                return f"{unit} ends as often as it is started. Its last words: {last_words(unit, since)}"
        idle = [unit for unit, (state, _restarts) in now.items() if state != "active"]
        if not wrong and not idle:
            return ""
        if time.monotonic() > deadline:
            what = f"The server does not answer at {url} ({wrong})." if wrong else f"{idle[0]} does not run."
            silent = (idle or units)[0]
            return f"{what} Last words of {silent}: {last_words(silent, since)}"
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(wait(sys.argv[1], float(sys.argv[2]), sys.argv[3:]) or None)
