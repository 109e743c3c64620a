# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that is asked of one agent: restores, tests of plugins, updates (admin-api.md §5.6, §6)."""

from __future__ import annotations

import json
import re
from typing import Any

from bbs_server.errors import Invalid, NotFound
from bbs_server.models import Archive, Client, Job, PluginConfig, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import audit

RESTORE, PLUGIN_TEST, UPDATE_AGENT = "restore", "plugin_test", "update_agent"


def restore(run: Runtime, client: Client, *, archive_id: int, paths: list[str], destination: str | None) -> Job:
    """Queue a restore on the client's machine.

    :param paths: what to restore; empty: everything.
    :param destination: the folder to restore into; None: where the agent runs.
    :raises NotFound: no such archive of this client.
    """
    archive: Archive | None = (
        Archive.select(Archive)
        .join(Repository)
        .where((Archive.id == archive_id) & (Repository.client == client))
        .first()
    )
    if archive is None:
        raise NotFound("Archive not found.")
    for path in paths:
        _refuse_bad_path(path)
    if destination is not None and not re.match(r"/|[A-Za-z]:[\\/]", destination):
        raise Invalid("destination: must be an absolute path.")
    with run.writing():
        job = _queue(
            run,
            client,
            RESTORE,
            repository=archive.repository_id,
            restore_archive_id=archive.id,
            restore_paths=json.dumps(paths),
            restore_destination=destination,
        )
        audit.record(run, "restore", f'Restore of "{archive.name}" queued.', client=client, level="warning")
    return job


def test_plugin(run: Runtime, client: Client, config: PluginConfig) -> Job:
    """Queue the test of a plugin configuration on the client's machine."""
    with run.writing():
        job = _queue(run, client, PLUGIN_TEST, plugin_config=config)
        audit.record(run, "plugin_config.test", f'Test of "{config.name}" queued.', client=client)
    return job


def update_agent(run: Runtime, client: Client) -> bool:
    """Queue an update of the client's agent; returns False when one is pending already."""
    with run.writing():
        if client.jobs.where((Job.task_type == UPDATE_AGENT) & Job.status.in_(states.ACTIVE)).exists():
            return False
        _queue(run, client, UPDATE_AGENT)
        audit.record(run, "client.update_agent", f'Update of the agent of "{client.name}" queued.', client=client)
    return True


def _queue(run: Runtime, client: Client, task_type: str, **columns: Any) -> Job:
    job: Job = Job.create(client=client, task_type=task_type, status=states.QUEUED, queued_at=run.clock(), **columns)
    return job


def _refuse_bad_path(path: str) -> None:
    # What is left of the path when its slash is gone becomes an argument of borg.
    inside = path.strip().lstrip("/")
    if not inside or inside.startswith("-") or "\x00" in path:
        raise Invalid("paths: each must name something in the archive, and not begin with a dash.")
