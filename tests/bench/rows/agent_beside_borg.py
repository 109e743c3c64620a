# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup by the agent, through the gate, beside plain ``borg create`` over the same sshd."""

from __future__ import annotations

import getpass
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from agent import Agent, agent
from lab import Lab
from report import Row

PAIRS = 2
MEBIBYTE = 2**20
SMALL_FILE = 64 * 1024
ANSWERS = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
FOR_EVER = dict.fromkeys(("prune_days", "prune_weeks", "prune_months"), 0)
"""Without retention no prune follows, which would run beside the next backup."""
OPTIONS = ["--compression", "lz4", "--exclude-caches", "--noatime"]
ROW = Row(
    "backup by the agent through the gate, beside `borg create` over the same sshd", "times as long", ("<=", 1.05)
)


def mixed(folder: Path, mebibytes: int) -> None:
    """A quarter of text, a quarter of small files, half of what cannot be compressed; each block only once."""
    chance = random.Random(1)
    letters = b"abcdefghijklmnopqrstuvwxyz"
    words = [bytes(chance.choices(letters, k=chance.randint(2, 9))) for _word in range(5000)]
    page = b" ".join(chance.choices(words, k=MEBIBYTE // 6)).ljust(MEBIBYTE)[:MEBIBYTE]
    folder.mkdir()
    with (folder / "media").open("wb") as media:
        for _block in range(mebibytes // 2):
            media.write(chance.randbytes(MEBIBYTE))
    with (folder / "text").open("wb") as text:
        for _block in range(mebibytes // 4):
            # The same page in another alphabet is other data, and as compressible.
            text.write(page.translate(bytes.maketrans(letters, bytes(chance.sample(letters, len(letters))))))
    for number in range(mebibytes // 4 * MEBIBYTE // SMALL_FILE):
        place = folder / "small" / f"{number % 50}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}").write_bytes(chance.randbytes(SMALL_FILE))


def repository(running: Agent, name: str) -> dict[str, Any]:
    made: dict[str, Any] = running.lab.call(
        "POST", f"{running.client}/repositories", {"name": name, "encryption": "none"}
    )
    return made


def by_agent(running: Agent, data: Path, name: str) -> float:
    """Seconds from the start of the job until the server has its last report, without the wait for the poll."""
    kept = repository(running, name)
    plan = {"name": name, "repository_id": kept["id"], "directories": str(data), "frequency": "manual"}
    plan |= {"advanced_options": " ".join(OPTIONS), **FOR_EVER}
    number = running.lab.call("POST", f"{running.client}/plans", plan)["id"]
    job = running.lab.call("POST", f"{running.client}/plans/{number}/trigger", {})["job_id"]

    running.until(lambda: running.works)
    started = time.perf_counter()
    running.until(lambda: not running.works)
    seconds = time.perf_counter() - started
    ended = running.lab.call("GET", f"/jobs/{job}")
    assert ended["status"] == "completed", ended
    return seconds


def by_borg(running: Agent, data: Path, name: str) -> float:
    """Seconds of plain borg with a key of its own that leads to a plain ``borg serve``."""
    kept = running.lab.server.directory / name
    subprocess.run(["borg", "init", "-e", "none", str(kept)], env=os.environ | ANSWERS, check=True, capture_output=True)
    known = f"-o UserKnownHostsFile={running.settings / 'known_hosts'} -o StrictHostKeyChecking=yes"
    ssh = f"ssh -i {running.folder / 'plain'} {known}"
    environment = os.environ | ANSWERS | {"BORG_RSH": ssh, "BORG_BASE_DIR": str(running.folder / "plain-borg")}
    address = f"ssh://{getpass.getuser()}@127.0.0.1:{running.lab.server.ssh_port}{kept}::archive"
    started = time.perf_counter()
    subprocess.run(
        ["borg", "create", *OPTIONS, address, str(data)], env=environment, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    shutil.rmtree(kept)
    return seconds


def let_in(running: Agent) -> None:
    """Let a key of its own past the gate."""
    key = running.folder / "plain"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with (running.lab.server.directory / "ssh" / "authorized_keys").open("a") as keys:
        keys.write(f'command="borg serve",restrict {key.with_suffix(".pub").read_text()}')


def measure(lab: Lab) -> tuple[float, dict[str, float]]:
    """How many times as long the agent takes: of each the median, in pairs that follow one another."""
    data = lab.folder / "data"
    mixed(data, lab.mebibytes)
    with agent(lab) as running:
        let_in(running)
        times: dict[str, list[float]] = {"agent": [], "borg": []}
        for number in range(PAIRS):
            times["borg"].append(by_borg(running, data, f"plain{number}"))
            times["agent"].append(by_agent(running, data, f"agent{number}"))
    agents, borgs = statistics.median(times["agent"]), statistics.median(times["borg"])
    return agents / borgs, {
        "mebibytes": lab.mebibytes,
        "agent_seconds": agents,
        "borg_seconds": borgs,
        "agent_mebibytes_per_second": lab.mebibytes / agents,
    }
