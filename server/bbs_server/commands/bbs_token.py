# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``bbs-token`` (admin-api.md §2.4)."""

from __future__ import annotations

from pathlib import Path

import click

from bbs_server.auth import SCOPES
from bbs_server.clock import wire
from bbs_server.commands.shared import config_option, run_command, running
from bbs_server.services import tokens

_ROW = "%-30s %-15s %-20s %-20s"


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def cli(context: click.Context, config: Path) -> None:
    """Mint, list and revoke API tokens, on the server's own machine."""
    context.obj = config
    if context.invoked_subcommand is None:
        # Upstream's command succeeds here, and scripts may count on it.
        click.echo(context.get_help())


@cli.command()
@click.option("--name", required=True, help="A name of your choice; it must be new.")
@click.option("--scope", type=click.Choice(SCOPES), default="admin", show_default=True, help="What it may do.")
@click.pass_obj
def create(config: Path, name: str, scope: str) -> None:
    """Print a new token and nothing else to standard output."""
    with running(config) as run:
        _, text = tokens.create(run, tokens.administrator(), name, scope=scope)
    click.echo(text)
    click.echo(f'Token "{name}" created.', err=True)
    click.echo("It is shown this once: store it now.", err=True)


@cli.command(name="list")
@click.pass_obj
def list_tokens(config: Path) -> None:
    """Print all tokens, oldest first."""
    with running(config):
        rows = tokens.oldest_first()
    if not rows:
        click.echo("No tokens.")
        return
    click.echo(_ROW % ("NAME", "USER", "CREATED", "LAST USED"))
    click.echo(_ROW % ("-" * 30, "-" * 15, "-" * 20, "-" * 20))
    for row in rows:
        click.echo(_ROW % (row.name, row.user.username, wire(row.created_at), wire(row.last_used_at) or "never"))


@cli.command()
@click.argument("name")
@click.pass_obj
def revoke(config: Path, name: str) -> None:
    """End the token of that name at once."""
    with running(config) as run:
        tokens.revoke_named(run, name)
    click.echo(f'Token "{name}" revoked.')


def main() -> None:
    """Entry point of ``bbs-token``."""
    run_command(cli, "bbs-token")
