# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that is asked of one agent: restores, tests of plugins, updates (admin-api.md §5.6, §6)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from bbs_server.errors import Conflict, Invalid
from bbs_server.models import Client, Job, PluginConfig
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import archives, audit

RESTORE, PLUGIN_TEST, LIST_DIRECTORY = "restore", "plugin_test", "list_dir"
UPDATE_AGENT, UPDATE_BORG = "update_agent", "update_borg"

_BORG_BINARY = "/usr/local/bin/borg"
"""Where agents put a borg that is no package (agent-protocol.md §7.2)."""


def restore(run: Runtime, client: Client, *, archive_id: int, paths: list[str], destination: str | None) -> Job:
    """Queue a restore on the client's machine.

    :param paths: what to restore; empty: everything.
    :param destination: the folder to restore into; None: where the agent runs.
    :raises NotFound: no such archive of this client.
    """
    archive = archives.of_client(client, archive_id)
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


def update_borg(run: Runtime, client: Client, *, target_version: str, download_url: str | None) -> Job:
    """Queue an update of the client's borg.

    :param download_url: a program for the client's machine; None: the agent uses pip.
    :raises Conflict: one is pending.
    """
    with run.writing():
        pending = client.jobs.where((Job.task_type == UPDATE_BORG) & Job.status.in_(states.ACTIVE)).first()
        if pending is not None:
            raise Conflict("An update of borg is already queued or running.", job_id=pending.id)
        parameters = {
            "target_version": target_version,
            "download_url": download_url,
            "install_method": "binary" if download_url else "pip",
            "binary_path": _BORG_BINARY,
            "fallback_to_pip": True,
            "source": "official",
        }
        job = _queue(run, client, UPDATE_BORG, task_parameters=json.dumps(parameters))
        text = f'Update of borg to {target_version} on "{client.name}" queued.'
        audit.record(run, "client.update_borg", text, client=client)
    return job


def list_directory(run: Runtime, client: Client, parameters: Mapping[str, Any]) -> Job:
    """Queue the listing of a directory of the client's machine; the tree becomes the job's ``task_result``.

    :param parameters: the task's keys, ``path`` among them (agent-protocol.md §7.2).
    """
    if not parameters["path"].startswith("/"):
        raise Invalid("path: must be an absolute path.")
    with run.writing():
        job = _queue(run, client, LIST_DIRECTORY, task_parameters=json.dumps(dict(parameters)))
        audit.record(run, "client.list_directory", f"Listing of {parameters['path']} queued.", client=client)
    return job


def _queue(run: Runtime, client: Client, task_type: str, **columns: Any) -> Job:
    job: Job = Job.create(client=client, task_type=task_type, status=states.QUEUED, queued_at=run.clock(), **columns)
    return job


def _refuse_bad_path(path: str) -> None:
    # What is left of the path when its slash is gone becomes an argument of borg.
    inside = path.strip().lstrip("/")
    if not inside or inside.startswith("-") or "\x00" in path:
        raise Invalid("paths: each must name something in the archive, and not begin with a dash.")
