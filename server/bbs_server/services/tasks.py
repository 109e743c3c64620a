# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an agent is told to do: the payload of each task type (agent-protocol.md §7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from bbs_server.backup_plugins import PLUGINS, s3_sync
from bbs_server.borg.command import LOCK_WAIT, UNATTENDED
from bbs_server.borg.options import OptionError, split_options
from bbs_server.errors import Invalid
from bbs_server.models import Archive, Job, Plan, PluginConfig, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import database_restores, jobs, plans, plugin_configs, remote_ssh_configs, repositories

AGENT_KEY_FILE = "/etc/bbs-agent/ssh_key"
"""Where a stock agent keeps its SSH key; the bundled agent puts its own place instead."""

REMOTE_KEY_FILE = "/tmp/bbs-remote-ssh-key"
"""Where a stock agent puts ``remote_ssh_key`` while the task runs (agent-protocol.md §6.4)."""


class NothingToDo(Exception):
    """The job cannot become a task any more; the message says why."""


def payload(run: Runtime, job: Job) -> dict[str, Any]:
    """The task of a job in the state ``sent``.

    :raises NothingToDo: what the job needs is gone.
    """
    build = _BUILDERS.get(job.task_type)
    if build is None:
        raise NothingToDo(f"Agents have no task of the type {job.task_type}.")
    return {"task": job.task_type, "job_id": job.id, "attempt": job.attempt, **build(run, job)}


def archive_name(run: Runtime, plan: Plan) -> str:
    """The name of a new archive: ``plan<id>-YYYY-MM-DD_HH-MM-SS``, UTC (agent-protocol.md §7.1)."""
    return f"plan{plan.id}-{run.clock().strftime('%Y-%m-%d_%H-%M-%S')}"


def _backup(run: Runtime, job: Job) -> dict[str, Any]:
    plan, repository = job.plan, job.repository
    if plan is None or repository is None:
        raise NothingToDo("The plan or the repository of this backup was deleted.")
    # The server itself copies to S3; the keys to that are nothing for the client.
    configs = [config for config in plans.attached_configs(plan) if config.plugin != s3_sync.PLUGIN.slug]
    directories = _with_dump_folders(run, plans.lines(plan.directories), configs)
    command = [
        "borg", "create", *_remote_options(repository), "--json", "--log-json", "--list", "--progress", LOCK_WAIT,
        *_advanced_options(plan),
        *(part for pattern in plans.lines(plan.excludes) for part in ("--exclude", pattern)),
        f"{repository.path}::{job.archive_name}",
        *directories,
    ]  # fmt: skip
    task: dict[str, Any] = {
        "command": command,
        "env": _environment(run, repository),
        "archive_name": job.archive_name,
        "directories": "\n".join(directories),
        "expected_files": jobs.expected_files(plan),
        "precount_files": True,
        "repo_path": repository.path,
        "plan_name": plan.name,
        "client_name": job.client.name,
        **_remote_key(run, repository),
    }
    return task | ({"plugins": [_plugin(run, config) for config in configs]} if configs else {})


def _advanced_options(plan: Plan) -> list[str]:
    try:
        return split_options(plan.advanced_options or "")
    except OptionError as error:
        # They were stored by a version that did not look so closely.
        raise NothingToDo(f"The plan has options that borg does not take: {error}") from error


def _restore(run: Runtime, job: Job) -> dict[str, Any]:
    archive = Archive.get_or_none(Archive.id == job.restore_archive_id)
    if archive is None or job.repository is None:
        raise NothingToDo("The archive to restore from is gone.")
    paths = [path.lstrip("/") for path in json.loads(job.restore_paths or "[]")]
    destination = {"cwd": job.restore_destination} if job.restore_destination else {}
    return _extract(run, job.repository, archive, paths) | destination


def _restore_databases(run: Runtime, job: Job) -> dict[str, Any]:
    archive: Archive | None = Archive.get_or_none(Archive.id == job.restore_archive_id)
    connector, repository = job.plugin_config, job.repository
    if archive is None or connector is None or repository is None:
        raise NothingToDo("The archive to restore from, or the configuration of the database, is gone.")
    try:
        paths, about_databases = database_restores.instructions(run, archive, connector, job)
    except Invalid as error:
        raise NothingToDo(error.message) from error
    return _extract(run, repository, archive, paths) | about_databases


def _extract(run: Runtime, repository: Repository, archive: Archive, paths: list[str]) -> dict[str, Any]:
    command = [
        "borg", "extract", *_remote_options(repository), "--log-json", "--progress", "--list", LOCK_WAIT,
        f"{repository.path}::{archive.name}", *paths,
    ]  # fmt: skip
    return {"command": command, "env": _environment(run, repository), **_remote_key(run, repository)}


def _one_plugin(run: Runtime, job: Job) -> dict[str, Any]:
    if job.plugin_config is None:
        raise NothingToDo("The plugin configuration was deleted.")
    config = job.plugin_config
    return {"plugin": {"slug": config.plugin, "config": plugin_configs.opened(run, config)}}


def _parameters(run: Runtime, job: Job) -> dict[str, Any]:
    """What was asked for, word for word."""
    parameters: dict[str, Any] = json.loads(job.task_parameters or "{}")
    return parameters


def _plugin(run: Runtime, config: PluginConfig) -> dict[str, Any]:
    return {
        "slug": config.plugin,
        "config": plugin_configs.opened(run, config),
        "config_id": config.id,
        "config_name": config.name,
    }


def _with_dump_folders(run: Runtime, directories: list[str], configs: list[PluginConfig]) -> list[str]:
    for config in configs:
        option = PLUGINS[config.plugin].dump_option
        folder = json.loads(config.config).get(option) if option else None
        if folder and not any(PurePosixPath(folder).is_relative_to(known) for known in directories):
            directories = [*directories, folder]
    return directories


def _environment(run: Runtime, repository: Repository) -> dict[str, str]:
    """The variables borg needs on the client (agent-protocol.md §10.2).

    A stock agent cannot verify host keys: nothing in its protocol brings them. The bundled agent
    takes them from its registration and replaces BORG_RSH.
    """
    secret = repositories.passphrase(run, repository)
    config = repository.remote_ssh_config
    key_file, port = (REMOTE_KEY_FILE, config.remote_port) if config else (AGENT_KEY_FILE, run.settings.ssh_port)
    remote_shell = (
        f"ssh -i {key_file} -p {port} -o StrictHostKeyChecking=no"
        " -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR"
    )
    return {**UNATTENDED, **({"BORG_PASSPHRASE": secret} if secret else {}), "BORG_RSH": remote_shell}


def _remote_options(repository: Repository) -> tuple[str, ...]:
    config = repository.remote_ssh_config
    return remote_ssh_configs.borg_options(config) if config else ()


def _remote_key(run: Runtime, repository: Repository) -> dict[str, str]:
    """The key for a third party's host, which the agent holds only while the task runs."""
    config = repository.remote_ssh_config
    return {"remote_ssh_key": remote_ssh_configs.private_key(run, config)} if config else {}


_BUILDERS: dict[str, Callable[[Runtime, Job], dict[str, Any]]] = {
    "backup": _backup,
    "restore": _restore,
    "plugin_test": _one_plugin,
    "plugin_post": _one_plugin,
    "list_dir": _parameters,
    "update_agent": lambda run, job: {},
    "update_borg": _parameters,
    **dict.fromkeys(database_restores.TASK_TYPES, _restore_databases),
}

KINDS = frozenset(_BUILDERS)
"""The task types that agents are told."""
