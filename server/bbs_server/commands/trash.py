# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server trash``: what was deleted by mistake."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from bbs_server.clock import wire
from bbs_server.commands.shared import note, running
from bbs_server.services import deleted_repositories

_ROW = "%6s  %-19s  %-19s  %-20s  %-20s  %s"


@click.group()
def trash() -> None:
    """Deleted repositories whose data is still there: list them, open them, put them back."""


@trash.command(name="list")
@click.pass_obj
def list_deleted(config: Path) -> None:
    """Print them, the latest last, with the time (UTC) until which they are kept at least."""
    with running(config) as run:
        rows = deleted_repositories.oldest_first()
        if not rows:
            click.echo("The trash is empty.")
            return
        click.echo(_ROW % ("NUMBER", "DELETED", "KEPT UNTIL", "CLIENT", "REPOSITORY", "DATA"))
        for row in rows:
            until = row.deleted_at + timedelta(days=run.settings.trash_days)
            click.echo(_ROW % (row.id, wire(row.deleted_at), wire(until), row.client_name, row.name, row.path))


@trash.command()
@click.argument("number", type=int)
@click.pass_obj
def passphrase(config: Path, number: int) -> None:
    """Print what opens a deleted repository, and nothing else, to standard output; the audit log notes who did."""
    with running(config) as run:
        deleted = deleted_repositories.find(number)
        found = deleted_repositories.passphrase(run, deleted)
        if found is not None:
            message = f'The passphrase of the deleted repository "{deleted.name}" of "{deleted.client_name}" was read.'
            client = deleted_repositories.former_client(deleted)
            note(run, "repository.read_secrets", message, client=client, level="warning")
    if found is None:
        click.echo("It needs no passphrase.", err=True)
    else:
        click.echo(found)


@trash.command()
@click.argument("number", type=int)
@click.option("--client", "client_name", help="Client that gets it; else the one it belonged to.")
@click.option("--name", help="Its name from now on; else the one it had.")
@click.pass_obj
def restore(config: Path, number: int, client_name: str | None, name: str | None) -> None:
    """Put a deleted repository back; its archives are listed again when the worker has looked.

    Plans that used it are to be made anew.
    """
    with running(config) as run:
        deleted = deleted_repositories.find(number)
        client = deleted_repositories.owner(deleted, client_name)
        repository = deleted_repositories.restore(run, deleted, client, name)
    click.echo(f"restored: repository {repository.name} of {client.name}")
