# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories on third parties' SSH servers: created there before they are recorded (admin-api.md §5.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peewee

from bbs_server.borg.command import ENCRYPTIONS, BorgError
from bbs_server.borg.ssh import SshError, reason
from bbs_server.errors import Conflict, Invalid, ServerFault
from bbs_server.models import Client, RemoteSshConfig, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, names, remote_ssh_configs, repositories

logger = logging.getLogger(__name__)


def create(
    run: Runtime,
    client: Client,
    *,
    name: str,
    remote_ssh_config_id: int | None,
    encryption: str | None = None,
    passphrase: str | None = None,
) -> dict[str, Any]:
    """Create a borg repository on another host.

    :param passphrase: generated when empty; not used with the encryption ``none``.
    :return: the repository with its passphrase, which is shown this once.
    :raises NotFound: no such configuration.
    :raises Conflict: a repository is recorded at that place.
    :raises ServerFault: ``borg init`` failed; nothing was created.
    """
    if remote_ssh_config_id is None:
        raise Invalid("remote_ssh_config_id: is required for repositories on a remote SSH host.")
    encryption = encryption or repositories.DEFAULT_ENCRYPTION
    if encryption not in ENCRYPTIONS:
        raise Invalid(f"encryption: must be one of {', '.join(ENCRYPTIONS)}.")
    config = remote_ssh_configs.find(remote_ssh_config_id)
    slug = names.slug(names.checked(name))
    url = remote_ssh_configs.repository_url(config, slug)
    refuse_recorded(url, slug)
    secret = None if encryption == "none" else passphrase or repositories.generate_passphrase(run)
    _initialise(run, config, url, slug, encryption, secret)
    try:
        repository = _record(run, client, config, url, slug, encryption, secret)
    except BaseException:
        _remove(run, config, url, secret)
        raise
    created = {
        "id": repository.id,
        "name": slug,
        "path": url,
        "encryption": encryption,
        "storage_type": "remote_ssh",
        "remote_host": config.remote_host,
    }
    return created | ({"passphrase": secret} if secret else {})


def refuse_recorded(url: str, slug: str) -> None:
    """Refuse a place that a repository of the server has.

    :raises Conflict: one has.
    """
    if Repository.select().where(Repository.path == url).exists():
        raise Conflict(f'A repository already exists at the path of "{slug}": choose a different name.')


def _initialise(
    run: Runtime, config: RemoteSshConfig, url: str, slug: str, encryption: str, secret: str | None
) -> None:
    if run.rehearsing:
        return
    try:
        with remote_ssh_configs.connection(run, config) as ssh:
            options = remote_ssh_configs.borg_options(config)
            run.borg.init(url, encryption, secret, options=options, remote_shell=ssh.command_line)
    except SshError as error:
        raise ServerFault(f"Borg could not create the repository: {error}") from error
    except BorgError as error:
        logger.error("borg init on %s failed: %s", config.remote_host, error)
        # Another request may have created it between the look and borg's.
        refuse_recorded(url, slug)
        told = reason(str(error), config.remote_host)
        raise ServerFault(f"Borg could not create the repository on {config.remote_host}: {told}") from error


def _record(
    run: Runtime, client: Client, config: RemoteSshConfig, url: str, slug: str, encryption: str, secret: str | None
) -> Repository:
    with taking(slug), run.writing():
        repository = add_row(run, client, config, url, slug, encryption, secret)
        audit.record(run, "repository.create", f'Repository "{slug}" created on {config.remote_host}.', client=client)
    return repository


def add_row(
    run: Runtime, client: Client, config: RemoteSshConfig, url: str, slug: str, encryption: str, secret: str | None
) -> Repository:
    """Record a repository on another host, inside a transaction."""
    repository: Repository = Repository.create(
        client=client,
        name=slug,
        encryption=encryption,
        storage_type="remote_ssh",
        remote_ssh_config=config,
        path=url,
        created_at=run.clock(),
    )
    repositories.keep_passphrase(run, repository, secret)
    return repository


@contextmanager
def taking(slug: str) -> Iterator[None]:
    """Around recording a repository.

    :raises Conflict: another request was quicker.
    """
    try:
        yield
    except peewee.IntegrityError as error:
        raise Conflict(f'"{slug}" or its remote SSH config was changed meanwhile: try again.') from error


def config_leading_to(url: str, slug: str) -> RemoteSshConfig:
    """The configuration by which a repository of this name lies at a URL.

    :raises Conflict: there is none.
    """
    for config in RemoteSshConfig.select().order_by(RemoteSshConfig.id):
        if remote_ssh_configs.repository_url(config, slug) == url:
            return config
    raise Conflict(f"No remote SSH config leads to {url}: create one for that host, account and base path first.")


def check_opens(run: Runtime, config: RemoteSshConfig, url: str, secret: str | None) -> None:
    """See that there is a repository at a URL, and that this opens it.

    :raises ServerFault: borg's or ssh's reason why not.
    """
    try:
        with remote_ssh_configs.connection(run, config) as ssh:
            options = remote_ssh_configs.borg_options(config)
            run.borg.perform(["list", "--short", "--last=1", *options, url], secret, remote_shell=ssh.command_line)
    except SshError as error:
        raise ServerFault(f"The repository could not be opened: {error}") from error
    except BorgError as error:
        told = reason(str(error), config.remote_host)
        raise ServerFault(f"The repository at {url} could not be opened: {told}") from error


def _remove(run: Runtime, config: RemoteSshConfig, url: str, secret: str | None) -> None:
    """Take back the empty repository that this request has just created; a rehearsal has created none."""
    if run.rehearsing:
        return
    try:
        with remote_ssh_configs.connection(run, config) as ssh:
            options = remote_ssh_configs.borg_options(config)
            run.borg.perform(["delete", *options, url], secret, remote_shell=ssh.command_line, deleting=True)
    except (BorgError, SshError) as error:
        logger.error("The unused repository %s could not be removed: %s", url, error)
