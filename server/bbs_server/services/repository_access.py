# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How borg on this server reaches a repository, here or on a third party's host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bbs_agent.stale_locks import free_repository
from bbs_server.borg.command import LOCK_WAIT, Outcome
from bbs_server.models import Repository
from bbs_server.runtime import Runtime
from bbs_server.services import remote_ssh_configs, repositories, storage


@dataclass(frozen=True)
class Access:
    """What borg must be told to reach a repository.

    :param url: a folder or an ``ssh://`` URL.
    :param options: go right after borg's command.
    :param remote_shell: the ssh command, for a repository on another host.
    """

    url: str
    options: tuple[str, ...] = ()
    remote_shell: str | None = None


def borg(
    run: Runtime,
    repository: Repository,
    command: str,
    *options: str,
    archive: str | None = None,
    then: Sequence[str] = (),
    accept: int = 1,
    wanted: Callable[[], bool] | None = None,
) -> Outcome:
    """Run a borg command on a repository; it waits for another borg to leave.

    :param archive: the archive it is about.
    :param then: what follows the repository on the command line.
    :param accept: highest exit code that is not a failure.
    :param wanted: asked now and then; when it says no, borg is told to end.
    :raises BorgError: it failed.
    :raises BorgStopped: it was not wanted any more.
    """
    with access(run, repository) as way:
        target = f"{way.url}::{archive}" if archive else way.url
        if way.remote_shell is None:
            free_repository(way.url)
        return run.borg.perform(
            [command, *way.options, LOCK_WAIT, *options, target, *then],
            repositories.passphrase(run, repository),
            accept=accept,
            remote_shell=way.remote_shell,
            wanted=wanted,
        )


@contextmanager
def borg_lines(
    run: Runtime, repository: Repository, command: str, *options: str, archive: str
) -> Iterator[Iterator[str]]:
    """The lines that a borg command on an archive writes, one at a time.

    :raises BorgError: it failed; told when the ``with`` block ends.
    """
    with access(run, repository) as way:
        arguments = [command, *way.options, LOCK_WAIT, *options, f"{way.url}::{archive}"]
        secret = repositories.passphrase(run, repository)
        with run.borg.lines(arguments, secret, remote_shell=way.remote_shell) as lines:
            yield lines


@contextmanager
def access(run: Runtime, repository: Repository) -> Iterator[Access]:
    """The way to a repository; for one on another host it is open as long as the ``with`` block lasts."""
    config = repository.remote_ssh_config
    if config is None:
        yield Access(str(storage.repository_directory(repository)))
        return
    with remote_ssh_configs.connection(run, config) as ssh:
        yield Access(repository.path, remote_ssh_configs.borg_options(config), ssh.command_line)
