# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``bbs-server``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from bbs_server import __version__, db, own_backup
from bbs_server.clock import system_clock
from bbs_server.commands import doctor
from bbs_server.commands.database import database
from bbs_server.commands.shared import config_option, load_settings, note, ready, run_command, running
from bbs_server.commands.trash import trash
from bbs_server.dev.command import dev
from bbs_server.initialise import initialise
from bbs_server.models import Client, Repository
from bbs_server.processes.supervisor import Service
from bbs_server.processes.web import load, serve
from bbs_server.runtime import Runtime
from bbs_server.scheduling import worker
from bbs_server.services import recovery, repositories, secret_rotation, storage
from bbs_server.settings import Settings

_LONGEST_LINE = 1000
"""How much of a command line the audit log keeps."""


@click.group()
@click.version_option(__version__, prog_name="bbs-server")
@config_option
@click.pass_context
def cli(context: click.Context, config: Path) -> None:
    """Borg Backup Server: REST API, worker and SSH gate for a fleet of borg clients."""
    context.obj = config


@cli.command()
@click.pass_obj
def init(config: Path) -> None:
    """Create what is missing: directories, keys, database, first administrator."""
    settings = load_settings(config)
    created = initialise(settings)
    with closing(Runtime.open(settings)) as this, this.database.connection_context():
        recovered = recovery.recover(this)
    for line in created:
        click.echo(f"created: {line}")
    for line in recovered:
        click.echo(f"recovered: {line}")
    if not created and not recovered:
        click.echo("unchanged")


@cli.command()
@click.pass_obj
def migrate(config: Path) -> None:
    """Bring the database's schema up to date."""
    settings = load_settings(config)
    with db.opened(settings.database, settings.database_password_file) as opened:
        applied = db.migrate(opened)
    for name in applied:
        click.echo(f"applied: {name}")
    if not applied:
        click.echo("unchanged")


@cli.command()
@click.pass_obj
def run(config: Path) -> None:
    """Run web, worker and, if set, the private sshd in the foreground."""
    settings = ready(config)
    sys.exit(Service(settings, config.resolve()).run())


@cli.command()
@click.pass_obj
def start(config: Path) -> None:
    """Do the same in the background; returns when the server answers."""
    settings = ready(config)
    started = Service(settings, config.resolve()).start()
    click.echo(f"{'started' if started else 'unchanged: already running'} at {settings.url}")


@cli.command()
@click.pass_obj
def stop(config: Path) -> None:
    """Stop a server that runs in the background."""
    stopped = Service(load_settings(config), config.resolve()).stop()
    click.echo("stopped" if stopped else "unchanged: not running")


@cli.command()
@click.pass_obj
def status(config: Path) -> None:
    """Say whether the server runs; exit code 3 when it does not."""
    settings = load_settings(config)
    pid = Service(settings, config.resolve()).pid()
    click.echo(f"running at {settings.url} (process {pid})" if pid else "not running")
    sys.exit(0 if pid else 3)


@cli.command()
@click.pass_obj
def web(config: Path) -> None:
    """Answer HTTP in the foreground."""
    settings = ready(config)
    serve(settings, load(settings))


@cli.command(name="worker")
@click.pass_obj
def run_worker(config: Path) -> None:
    """Queue due plans and do the server's own jobs in the foreground."""
    worker.run_until_told(ready(config))


@cli.command(name="doctor")
@click.option("--repair", is_flag=True, help="First put right what can be put right without a loss.")
@click.pass_obj
def examine(config: Path, repair: bool) -> None:
    """Look for what is wrong and say what to do; exit code 1 when something is.

    --repair finishes or takes back what killed processes left, writes the keys that are let in anew, makes missing
    folders of clients, moves folders of clients that the database does not know to .orphans in their storage
    location, where nothing removes them, and puts keys of repositories back that a client has replaced.
    """
    with closing(Runtime.open(ready(config))) as this:
        for line in doctor.repair(this) if repair else ():
            click.echo(f"repaired  {line}")
        findings = doctor.examine(this)
    for finding in findings:
        click.echo(f"{'ok     ' if finding.good else 'problem'}  {finding.text}")
    sys.exit(0 if all(finding.good for finding in findings) else 1)


@cli.command(name="rotate-secrets")
@click.pass_obj
def rotate_secrets(config: Path) -> None:
    """Seal all stored secrets with a new key, while the server runs; finishes one that was interrupted."""
    with running(config) as this:
        done = secret_rotation.rotate(this, lambda number: click.echo(f"{number} secret(s) …", err=True))
    if done.resumed:
        click.echo("An earlier rotation had been interrupted; it is finished now.")
    click.echo(f"{done.resealed} secret(s) sealed with the new key; {done.removed} old key(s) removed.")
    click.echo("Backups of the server made before need the old keys that are in them.")


@cli.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--keep", type=click.IntRange(0), default=0, help="Keep so many of the newest in the folder; 0 keeps all."
)
@click.pass_obj
def backup(config: Path, folder: Path, keep: int) -> None:
    """Write the server's own database, keys and settings into one file in FOLDER.

    The server may run. The file opens every repository: keep it in a safe place, away from this machine. Repositories
    are not in it.
    """
    made = own_backup.make(Settings.load(config), config, folder, system_clock(), keep=keep)
    click.echo(f"created: {made.file}")
    for file in made.removed:
        click.echo(f"removed: {file}")
    if made.left_out:
        click.echo(f"left out, only root may read them: {', '.join(map(str, made.left_out))}", err=True)


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Put the backup in the place of a server that is there.")
@click.option("--host-keys", is_flag=True, help="Also put back the host keys of the system's sshd. Needs root.")
@click.pass_obj
def restore(config: Path, file: Path, replace: bool, host_keys: bool) -> None:
    """Put back what 'bbs-server backup' wrote; then run 'bbs-server init'.

    Run it while the server is stopped. Unlike other commands, these two stay root when root calls them: only root may
    read and write the host keys of the system's sshd.
    """
    if config.exists():
        settings = Settings.load(config)
        Service(settings, config.resolve()).check_stopped()
        own_backup.check_no_worker(settings, system_clock())
    for path in own_backup.restore(file, config, replace=replace, host_keys=host_keys):
        click.echo(f"restored: {path}")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.option("--client", "client_name", required=True, help="Name of the client.")
@click.option("--repository", "repository_name", required=True, help="Name of its repository.")
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def borg(config: Path, client_name: str, repository_name: str, arguments: tuple[str, ...]) -> None:
    """Run borg on a repository, with its passphrase in the environment; the audit log notes who did.

    BORG_REPO is set, so the repository is written as "::" with an archive, or left out:

        bbs-server borg --client web01 --repository main list
    """
    with running(config) as this:
        repository = _repository(client_name, repository_name)
        secret = repositories.passphrase(this, repository)
        directory = storage.repository_directory(repository)
        message = f'Borg was run on the repository "{repository.name}": {_told(arguments, secret)}'
        note(this, "repository.borg", message, client=repository.client)
    environment = this.borg.environment(secret) | {"BORG_REPO": str(directory)}
    os.execvpe("borg", ["borg", *arguments], environment)


cli.add_command(database)
cli.add_command(dev)
cli.add_command(trash)


def _told(arguments: Sequence[str], secret: str | None) -> str:
    """Arguments of borg for the log: without the program that ``with-lock`` runs, whose own may be secret."""
    own = [argument.replace(secret, "***") if secret else argument for argument in arguments]
    if "with-lock" in own:
        own[own.index("with-lock") + 1 :] = ["..."]
    return shlex.join(own)[:_LONGEST_LINE]


def _repository(client_name: str, repository_name: str) -> Repository:
    found: Repository | None = (
        Repository.select(Repository, Client)
        .join(Client)
        .where((Client.name == client_name) & (Repository.name == repository_name))
        .first()
    )
    if found is None:
        raise click.ClickException(f"There is no repository {repository_name!r} of a client {client_name!r}.")
    return found


def main() -> None:
    """Entry point of ``bbs-server``."""
    run_command(cli, "bbs-server")
