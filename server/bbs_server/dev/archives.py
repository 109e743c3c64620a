# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive of a simulated backup: made by borg in the client's repository, but with nothing of the machine in it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FILE = "simulated-backup.txt"
"""The one file in such an archive; it says what would have been backed up."""


class NoArchive(Exception):
    """Borg did not make the archive; the message says why."""


def make(task: dict[str, Any], client_id: int, storage: Path, borg_directory: Path) -> dict[str, Any]:
    """Make the archive that a task asks for.

    :param storage: the server's first storage location.
    :param borg_directory: borg's own state (``BORG_BASE_DIR``).
    :return: what an agent reports of it (agent-protocol.md §5.4).
    :raises NoArchive: the repository lies on another host, or borg failed.
    """
    repository = _repository(task["repo_path"], client_id, storage)
    if "remote_ssh_key" in task or not repository.is_dir():
        raise NoArchive("A simulated agent has no way to repositories on other hosts.")
    text = f"A simulated backup of {task['client_name']}, plan {task['plan_name']}:\n{task['directories']}\n"
    archive = f"{repository}::{task['archive_name']}"
    done = subprocess.run(
        ["borg", "create", "--json", "--lock-wait=60", "--stdin-name", FILE, archive, "-"],
        input=text,
        env=os.environ | task["env"] | {"BORG_BASE_DIR": str(borg_directory), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoArchive(done.stderr.strip() or f"borg ended with code {done.returncode}.")
    stats = json.loads(done.stdout)["archive"]["stats"]
    sizes = {name: stats[name] for name in ("original_size", "deduplicated_size")}
    return {"archive_name": task["archive_name"], "files_total": 1, "files_processed": stats["nfiles"], **sizes}


def _repository(url: str, client_id: int, storage: Path) -> Path:
    """Where a repository lies whose URL is meant for SSH: ``/./`` is the client's own folder (agent-protocol.md §6)."""
    path = urlsplit(url).path
    return storage / str(client_id) / path[3:] if path.startswith("/./") else Path("/" + path.lstrip("/"))
