# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the pictures of terminals in docs/pictures, by running the quickstart in a copy of the tree and looking at it.

What differs from run to run (times, sizes, ports, names of this machine) is drawn as on an example machine, so that a
picture changes only when what is shown does.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pages import ROOT
from terminal import drawing

PICTURES = ROOT / "docs" / "pictures"
PLAN = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Back up twice a day, and keep more
      borgfleet.bbs.bbs_plan:
        client: {client}
        name: nightly
        directories: [/etc, /home, /srv]
        times: ["02:30", "14:30"]
        prune_days: 14
"""
ALIKE = [
    (r"(?m)^WARNING: .*\n", ""),  # pip's, of this machine's indexes
    (r" +(: .*ok=\d.*)", lambda recap: " " + re.sub(" +", " ", recap[1])),
    (r"SQLite [\d.]+", "SQLite 3.40.1"),
    (r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "2026-11-24_02-30-00"),
    (r"\w{3}, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[[0-9a-f]{64}\]", "Tue, 2026-11-24 02:30:04 [" + "9f3c" * 4 + "…]"),
    (r"(?m)^\[localhost\] job 1: (queued|running, \d+ of).*\n", ""),
    (r"Backing up \d+ files", "Backing up 438 files"),
    (r"\d+ of \d+ files.*", "438 of 438 files, 3.9 MiB"),
    (r"\d+ MiB are free", "81543 MiB are free"),
    (r"borg 1\.\d+\.\d+", "borg 1.2.4"),
]
WIDEST = 120

_OWN = re.compile("ANSIBLE|BBS|MAKE")


@dataclass
class Checkout:
    """A copy of the tree, in which the quickstart runs."""

    path: Path
    ports: tuple[int, int]
    shown_as: str = "/home/you/borgfleet-bbs"

    def run(self, *command: str, **variables: str) -> str:
        """What a command prints, in colours."""
        environment = {name: value for name, value in os.environ.items() if not _OWN.match(name)}
        environment |= {"QUICKSTART_PORT": str(self.ports[0]), "QUICKSTART_SSH_PORT": str(self.ports[1])}
        environment |= {"ANSIBLE_FORCE_COLOR": "1", "PYTHON": os.path.realpath(sys.executable)} | variables
        done = subprocess.run(
            command, cwd=self.path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
        return done.stdout

    def alike(self, output: str) -> str:
        """The same as on the example machine."""
        output = output.replace(str(self.path), self.shown_as).replace(socket.gethostname().split(".")[0], "web1")
        output = output.replace(str(self.ports[0]), "8787").replace(str(self.ports[1]), "8722")
        for pattern, text in ALIKE:
            output = re.sub(pattern, text, output)
        return re.sub(r"\*{20,}", lambda stars: "*" * 24, output)


def copied(folder: Path) -> Path:
    """The files that git knows or would know."""
    target = folder / "borgfleet-bbs"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def draw(name: str, command: str, output: str) -> None:
    """Write a picture, with lines that are too long cut."""
    plain = re.compile(r"((?:\x1b\[[\d;]*m)*[^\x1b])")
    lines = []
    for line in output.strip("\n").splitlines():
        shown = plain.findall(line)
        lines.append("".join(shown[:WIDEST]) + "…\x1b[0m" if len(shown) > WIDEST else line)
    (PICTURES / f"{name}.svg").write_text(drawing(command, "\n".join(lines)), encoding="utf-8")
    print(f"docs/pictures/{name}.svg")


def shortened(output: str, first: int, last: int) -> str:
    """Beginning and end of a long output."""
    lines = output.strip("\n").splitlines()
    return "\n".join([*lines[:first], "", "\x1b[90m⋮\x1b[0m", "", *lines[-last:]])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bbs-captures-") as folder:
        checkout = Checkout(copied(Path(folder)), free_ports())
        try:
            capture(checkout)
        finally:
            checkout.run("make", "clean")


def capture(checkout: Checkout) -> None:
    """Run everything that is shown."""
    output = checkout.run("make", "quickstart")
    draw("quickstart", "make quickstart", shortened(checkout.alike(output), 16, 26))

    state = checkout.path / ".quickstart"
    programs = checkout.path / ".venv" / "bin"
    doctor = checkout.run(str(programs / "bbs-server"), "--config", str(state / "server" / "bbs-server.toml"), "doctor")
    draw(
        "doctor",
        "bbs-server doctor",
        checkout.alike(doctor).replace(f"{checkout.shown_as}/.quickstart/server", "/var/lib/bbs-server"),
    )

    (state / "plan.yml").write_text(PLAN.format(client=socket.gethostname().split(".")[0]))
    difference = checkout.run(
        str(programs / "ansible-playbook"), "--check", "--diff", str(state / "plan.yml"),
        BBS_URL=f"http://127.0.0.1:{checkout.ports[0]}", BBS_TOKEN_FILE=str(state / "token"),
        ANSIBLE_COLLECTIONS_PATH=str(state / "collections"), ANSIBLE_HOME=str(state / "ansible"),
        ANSIBLE_CONFIG=str(checkout.path / "docs" / "examples" / "ansible.cfg"),
    )  # fmt: skip
    draw("check-diff", "ansible-playbook plan.yml --check --diff", checkout.alike(difference))


if __name__ == "__main__":
    main()
