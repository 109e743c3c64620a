# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives made by real borg, and recorded as an agent's report would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from bbs_server.models import Archive, Job, Plan, Repository
from bbs_server.services import storage

from .conftest import Server


def directory(server: Server, repository: dict[str, Any]) -> Path:
    """Where a local repository lies."""
    with server.run.database.connection_context():
        return storage.repository_directory(Repository.get_by_id(repository["id"]))


def borg(*arguments: str, passphrase: str = "") -> str:
    """Run borg as an operator would; its standard output."""
    answers = {
        "BORG_PASSPHRASE": passphrase,
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }
    done = subprocess.run(
        ["borg", *arguments], env={**os.environ, **answers}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def create(where: Path, name: str, passphrase: str = "") -> None:
    """A real archive with one small file."""
    borg("create", f"{where}::{name}", __file__, passphrase=passphrase)


def names(server: Server, repository: dict[str, Any]) -> list[str]:
    """The archives that borg finds in a repository."""
    return borg("list", "--short", str(directory(server, repository))).split()


def make_archive(server: Server, repository: dict[str, Any], name: str, **columns: Any) -> int:
    """A real archive, recorded; returns its id."""
    create(directory(server, repository), name)
    return record_archive(server, repository, name, **columns)


def record_archive(server: Server, repository: dict[str, Any], name: str, **columns: Any) -> int:
    """The record of an archive; returns its id."""
    with server.run.database.connection_context():
        columns.setdefault("created_at", server.clock())
        return int(Archive.create(repository=repository["id"], name=name, **columns).id)


def job(server: Server, job_id: int) -> Any:
    """A job with its log."""
    return server.get(f"/jobs/{job_id}")


def add_job(server: Server, client_id: int, **columns: Any) -> int:
    """A job in a state that would take long to reach."""
    with server.run.database.connection_context():
        columns = {"task_type": "backup", "status": "completed", "queued_at": server.clock(), **columns}
        if (columns["task_type"], columns["status"]) == ("backup", "completed") and columns.get("plan"):
            Plan.update(last_success=columns["completed_at"]).where(Plan.id == columns["plan"]).execute()
        return int(Job.create(client=client_id, **columns).id)
