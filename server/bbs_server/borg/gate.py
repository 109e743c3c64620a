# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forced command of every client's SSH key (agent-protocol.md §6.2).

Lets a client append to its own repositories, and nothing else. Standard library only and few
imports: it starts once for every SSH connection.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

CATALOG_LIMIT_BYTES = 4 * 1024**3
"""Largest catalogue one job may send."""

CATALOG_DIRECTORY = ".catalog"
"""Folder in a client's first directory that receives catalogues."""

NOTHING = Path("/nonexistent")

_CHUNK_BYTES = 1024 * 1024


def main() -> None:
    """Do what ``SSH_ORIGINAL_COMMAND`` asks, if it is one of the three things a client may ask."""
    parser = argparse.ArgumentParser(prog="bbs-gate", description=__doc__)
    parser.add_argument("--locations", type=Path, required=True, help="file that lists the storage locations")
    parser.add_argument("--client", type=int, required=True, help="id of the client whose key this is")
    arguments = parser.parse_args()
    directories = [
        Path(line) / str(arguments.client) for line in arguments.locations.read_text(encoding="utf-8").splitlines()
    ]
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    if re.match(r"borg serve(\s|$)", asked):
        serve(directories)
    elif found := re.fullmatch(r"catalog-write (\d{1,18})", asked):
        receive_catalog(directories[0] / CATALOG_DIRECTORY, int(found[1]))
    elif asked == "ping":
        print("pong")
    else:
        sys.exit("bbs-gate: this key allows only borg serve, catalog-write and ping.")


def serve(directories: list[Path]) -> None:
    """Become ``borg serve``, append-only, restricted to the repositories in the client's own directories.

    The client's own arguments to ``borg serve`` are dropped: they could ask for more. Repositories are made by the
    server: a client that makes folders could give them names that mean something to the server.
    """
    program = shutil.which("borg")
    if program is None:
        sys.exit("bbs-gate: borg is not installed on the server.")
    os.chdir(directories[0])
    free_locks(directories)
    within = [f"--restrict-to-path={directory}" for directory in directories]
    # Without any of these options, all would be allowed.
    repositories = [config.parent for directory in directories for config in directory.glob("*/config")] or [NOTHING]
    only = [f"--restrict-to-repository={repository}" for repository in repositories]
    os.execv(program, ["borg", "serve", "--append-only", *within, *only])


def free_locks(directories: list[Path]) -> None:
    """Remove what a ``borg serve`` that was killed has left in the client's repositories."""
    for lock in [lock for directory in directories for lock in directory.glob("*/lock.exclusive")]:
        # Seldom needed, so that it is not loaded for every connection.
        from bbs_agent.stale_locks import free_repository

        free_repository(str(lock.parent))


def receive_catalog(directory: Path, job_id: int) -> None:
    """Store standard input as the file catalogue of a job; a partial one is not kept."""
    directory.mkdir(mode=0o750, exist_ok=True)
    target = directory / f"catalog-{job_id}.jsonl"
    partial = target.with_suffix(f".{os.getpid()}.part")
    received = 0
    try:
        with partial.open("wb") as stream:
            while chunk := sys.stdin.buffer.read(_CHUNK_BYTES):
                received += len(chunk)
                if received > CATALOG_LIMIT_BYTES:
                    sys.exit("bbs-gate: the catalogue is too large.")
                stream.write(chunk)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
