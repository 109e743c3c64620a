# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which repositories are copied to which S3 storage (admin-api.md §5.2; making a link is ours)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from bbs_server.backup_plugins import s3_sync
from bbs_server.db.statements import Statement, slot
from bbs_server.errors import Invalid, NotFound
from bbs_server.models import Job, PluginConfig, Repository, S3Link
from bbs_server.runtime import Runtime
from bbs_server.services import audit, server_jobs


@dataclass(frozen=True)
class State:
    """Whether a repository is copied, and when it last was."""

    enabled: bool = False
    last_sync_at: datetime | None = None


_OF_CLIENT = Statement(lambda: S3Link.select().join(Repository).where(Repository.client == slot("client")))


def states(client_id: int) -> dict[int, State]:
    """The state of each repository of a client that has a link."""
    return _states(_OF_CLIENT.rows(client=client_id))


def states_of(own: peewee.Expression) -> dict[int, State]:
    """The same of many clients' repositories.

    :param own: a condition for repositories.
    """
    return _states(S3Link.select().join(Repository).where(own))


def _states(links: Iterable[S3Link]) -> dict[int, State]:
    return {link.repository_id: State(link.enabled, link.last_sync_at) for link in links}


def of(config: PluginConfig) -> peewee.ModelSelect[S3Link]:
    """The links that use a configuration, with their repositories."""
    return (
        S3Link.select(S3Link, Repository)
        .join(Repository)
        .where(S3Link.plugin_config == config)
        .order_by(Repository.name, Repository.id)
    )


def find_repository(repository_id: int) -> Repository:
    """A repository of any client.

    :raises NotFound: unknown.
    """
    found: Repository | None = Repository.get_or_none(Repository.id == repository_id)
    if found is None:
        raise NotFound("Repository not found.")
    return found


def switch(run: Runtime, repository: Repository, *, enabled: bool, plugin_config_id: int | None) -> dict[str, Any]:
    """Turn the copying of a repository on or off.

    :param plugin_config_id: the s3_sync configuration to link; None: the linked one.
    :raises Invalid: no such configuration of the repository's client, or none linked yet.
    """
    if repository.storage_type != "local":
        raise Invalid("A repository on a remote SSH host cannot be copied to S3.")
    with run.writing():
        link = S3Link.get_or_none(S3Link.repository == repository)
        if plugin_config_id is not None:
            config = _config(repository, plugin_config_id)
            link = link or S3Link(repository=repository)
            link.plugin_config = config
        if link is None:
            raise Invalid("plugin_config_id: no S3 destination is linked: name an s3_sync configuration of the client.")
        link.enabled = enabled
        link.save()
        audit.record(
            run,
            "repository.s3_sync",
            f'S3 sync of "{repository.name}" turned {"on" if enabled else "off"}.',
            client=repository.client,
        )
    return {"id": repository.id, "name": repository.name, "s3_sync_enabled": enabled}


def queue_copy(run: Runtime, cause: Job) -> None:
    """Queue the copying of a repository that a job has changed, if it is to be copied."""
    if S3Link.select().where((S3Link.repository == cause.repository_id) & S3Link.enabled).exists():
        server_jobs.follow_up(run, cause, "s3_sync")


def _config(repository: Repository, config_id: int) -> PluginConfig:
    found: PluginConfig | None = PluginConfig.get_or_none(
        (PluginConfig.id == config_id)
        & (PluginConfig.client == repository.client_id)
        & (PluginConfig.plugin == s3_sync.PLUGIN.slug)
    )
    if found is None:
        raise Invalid(f"plugin_config_id: the client has no s3_sync configuration {config_id}.")
    return found
