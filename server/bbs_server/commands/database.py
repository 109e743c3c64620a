# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server database``: what concerns the database as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import click
import peewee

from bbs_server import db
from bbs_server.account import become_owner
from bbs_server.db import copying, postgresql
from bbs_server.db.errors import DatabaseError
from bbs_server.processes.pid_file import PidFile
from bbs_server.settings import Settings


@click.group()
def database() -> None:
    """Move the server to another database."""


@database.command()
@click.option("--to", "url", required=True, help="postgresql://USER@HOST/DATABASE, without a password.")
@click.option("--password-file", default="", help="File with the password; else PGPASSWORD or PGPASSFILE.")
@click.pass_obj
def copy(config: Path, url: str, password_file: str) -> None:
    """Copy a stopped server's SQLite database to an empty PostgreSQL database, and compare the two.

    The SQLite file stays as it is. Afterwards set database_url to the new database and start the server.
    """
    settings = Settings.load(config)
    become_owner(settings)
    source = _source(settings)
    _require_stopped(settings)
    with _target(url, password_file) as target:
        copied = copying.copy(source, target)
    for table in copied:
        click.echo(f"{table.table:<20} {table.rows:>10} rows  {table.checksum}")
    click.echo("Both sides are the same. Now set database_url and start the server.")


def _source(settings: Settings) -> peewee.SqliteDatabase:
    file = settings.database.removeprefix("sqlite:///")
    if file == settings.database or not Path(file).is_file():
        raise DatabaseError("The settings do not name an SQLite database that exists: there is nothing to copy.")
    return peewee.SqliteDatabase(f"file:{quote(file)}?mode=ro", uri=True)


@contextmanager
def _target(url: str, password_file: str) -> Iterator[postgresql.PostgreSQL]:
    with db.opened(url, password_file) as target:
        if not isinstance(target, postgresql.PostgreSQL):
            raise DatabaseError("--to: only postgresql://USER@HOST/DATABASE can be copied to.")
        if postgresql.holds_password(url):
            raise DatabaseError(
                "--to: other users of this machine see a command's arguments: leave the password out of the URL and"
                " use --password-file, PGPASSWORD or PGPASSFILE."
            )
        yield target


def _require_stopped(settings: Settings) -> None:
    if PidFile(settings.run_directory / "bbs-server.pid", "The server").pid() is not None:
        raise DatabaseError("The server is running: stop it first, or what it writes meanwhile is lost.")
