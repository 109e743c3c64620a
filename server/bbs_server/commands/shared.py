# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the commands share: the settings they name, the server's account, how failures are told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import peewee

from bbs_server import db
from bbs_server.account import AccountError, become_owner, operator
from bbs_server.borg.command import BorgError
from bbs_server.borg.sshd import SshdError
from bbs_server.db.errors import DatabaseError
from bbs_server.dev.fleet import FleetError
from bbs_server.dev.temporary import TemporaryServerError
from bbs_server.errors import ApiError
from bbs_server.models import Client
from bbs_server.own_backup.database import BackupError
from bbs_server.processes.pid_file import AlreadyRunning
from bbs_server.processes.supervisor import ServiceError
from bbs_server.processes.web import AddressError
from bbs_server.runtime import Runtime
from bbs_server.secrets.key_file import SecretError
from bbs_server.services import audit
from bbs_server.settings import Settings, SettingsError

CONFIG_VARIABLE = "BBS_SERVER_CONFIG"
DEFAULT_CONFIG = Path("/etc/bbs-server/bbs-server.toml")

EXPECTED = (
    AccountError,
    SettingsError,
    SecretError,
    SshdError,
    BorgError,
    ServiceError,
    BackupError,
    AlreadyRunning,
    AddressError,
    FleetError,
    TemporaryServerError,
    ApiError,
    DatabaseError,
    peewee.PeeweeException,
    OSError,
)
"""Failures that are told in one sentence instead of a traceback."""


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option that names the settings file."""
    return click.option(
        "--config",
        "config",
        envvar=CONFIG_VARIABLE,
        default=DEFAULT_CONFIG,
        show_default=True,
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="Settings file (TOML).",
    )(command)


def run_command(command: click.Command, program: str) -> None:
    """Run a command line; an expected failure becomes one sentence on standard error and exit code 1."""
    try:
        command.main(prog_name=program)
    except EXPECTED as error:
        click.echo(f"{program}: {error}", err=True)
        sys.exit(1)


def load_settings(config: Path) -> Settings:
    """The settings; from here on the process is the server's account.

    :raises SettingsError: unusable file.
    :raises AccountError: called by somebody else.
    """
    settings = Settings.load(config)
    become_owner(settings)
    return settings


def ready(config: Path) -> Settings:
    """The settings of a server that has been initialised and is up to date."""
    settings = load_settings(config)
    if not settings.key_file.exists():
        raise ServiceError(f"There is no server in {settings.directory} yet: run 'bbs-server init' first.")
    with db.opened(settings.database, settings.database_password_file) as opened:
        pending = db.pending(opened)
    if pending:
        raise ServiceError("The database's schema is not up to date: run 'bbs-server migrate' first.")
    return settings


@contextmanager
def running(config: Path) -> Iterator[Runtime]:
    """A server that is initialised and up to date, with its database, for as long as a ``with`` block lasts."""
    caller = operator()
    with closing(Runtime.open(ready(config), operator=caller)) as run, run.database.connection_context():
        yield run


def note(run: Runtime, action: str, message: str, *, client: Client | None, level: str = "info") -> None:
    """Write into the audit log what is handed to the caller of a command.

    Where the log cannot be written the command goes on: a full disk is when it is needed most.
    """
    try:
        with run.writing():
            # Arguments may hold bytes that are no text.
            text = message.encode(errors="backslashreplace").decode()
            audit.record(run, action, text, client=client, level=level)
    except peewee.PeeweeException as error:
        click.echo(f"This could not be noted in the audit log: {error}", err=True)
