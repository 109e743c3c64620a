# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new key for all secrets: with the server at work, and interrupted anywhere."""

from __future__ import annotations

import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bbs_server import own_backup
from bbs_server.cli import cli
from bbs_server.models import TABLES, Repository
from bbs_server.runtime import Runtime
from bbs_server.secrets import Keyring, key_file, sealed
from bbs_server.secrets.key_file import SecretError
from bbs_server.services import repositories, secret_rotation

from .conftest import Server


@pytest.fixture
def full(server: Server, client: dict[str, Any]) -> Server:
    """A server with secrets in several tables."""
    path = f"/clients/{client['id']}"
    server.post(f"{path}/repositories", {"name": "main", "passphrase": "canary-passphrase"})
    gone = server.post(f"{path}/repositories", {"name": "gone", "passphrase": "canary-deleted"})
    server.call("DELETE", f"{path}/repositories/{gone['id']}")
    config = {"user": "root", "password": "canary-database"}
    server.post(f"{path}/plugin-configs", {"plugin": "mysql_dump", "name": "db", "config": config})
    server.post(
        "/s3-credentials",
        {
            "endpoint": "https://s3.example",
            "region": "eu",
            "bucket": "b",
            "access_key": "canary-id",
            "secret_key": "canary-s3",
        },
    )
    return server


def opened(run: Runtime) -> dict[str, str]:
    """Every secret in clear, as a process that starts now reads it."""
    ring, found = Keyring(run.settings.key_file), {}
    with run.database.connection_context():
        for table in sealed.tables():
            name = table._meta.table_name
            for row in table.select():
                for column, text in sealed.values(row).items():
                    found[f"{name}.{column}.{row.id}"] = ring.open(text, table=name, column=column, row=row.id)
    return found


def rotate(run: Runtime, **options: Any) -> secret_rotation.Rotation:
    with run.database.connection_context():
        return secret_rotation.rotate(run, **options)


def keys(run: Runtime) -> list[str]:
    return list(key_file.read(run.settings.key_file))


def test_a_dump_of_the_database_shows_no_secret(full: Server, client: dict[str, Any]) -> None:
    with full.run.database.connection_context():
        dump = "\n".join(str(row) for table in TABLES for row in table.select().tuples())

    assert "web01" in dump
    for secret in ("canary", client["api_key"], full.token, "PRIVATE KEY"):
        assert secret not in dump


def test_no_byte_of_a_backup_of_the_server_shows_a_secret(full: Server, client: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "server" / "bbs-server.toml").touch()
    run = full.run
    made = own_backup.make(run.settings, tmp_path / "server" / "bbs-server.toml", tmp_path / "backups", run.clock())
    with tarfile.open(made.file) as archive:
        content = b"".join(archive.extractfile(entry).read() for entry in archive)  # type: ignore[union-attr]
    # Also what was deleted, and what SQLite has not moved to the file yet.
    content += b"".join(file.read_bytes() for file in run.settings.directory.glob("bbs.sqlite*"))

    assert b"web01" in content
    for secret in ("canary", client["api_key"], full.token):
        assert secret.encode() not in content


def test_every_secret_has_a_new_key_and_the_same_value(full: Server) -> None:
    before, (old,) = opened(full.run), keys(full.run)
    assert {name.rsplit(".", 1)[0] for name in before} >= {
        "clients.key",
        "clients.ssh_private_key",
        "repositories.passphrase",
        "deleted_repositories.passphrase",
        "plugin_configs.config.password",
        "s3_credentials.secret_key",
    }

    done = rotate(full.run)

    assert (done.resumed, done.resealed, done.removed) == (False, len(before), 1)
    assert opened(full.run) == before
    assert keys(full.run) != [old] and len(keys(full.run)) == 1
    assert full.run.settings.key_file.stat().st_mode & 0o777 == 0o600


def test_a_server_at_work_takes_the_new_key_up(full: Server) -> None:
    """Its keyring knew the old key only."""
    rotate(replace(full.run, keyring=Keyring(full.run.settings.key_file)))
    with full.run.database.connection_context():
        assert repositories.passphrase(full.run, Repository.get()) == "canary-passphrase"

    made = full.post("/clients", {"name": "later"})
    assert opened(full.run)[f"clients.key.{made['id']}"] == made["api_key"]


def test_what_is_sealed_meanwhile_is_not_lost(full: Server) -> None:
    """Something is written between the first look and the end."""
    made: list[dict[str, Any]] = []

    def somebody_writes(_: int) -> None:
        if not made:
            # On a connection of its own, as in another process.
            with ThreadPoolExecutor() as elsewhere:
                made.append(elsewhere.submit(full.post, "/clients", {"name": "meanwhile"}).result())

    rotate(full.run, tell=somebody_writes)

    assert opened(full.run)[f"clients.key.{made[0]['id']}"] == made[0]["api_key"]


@pytest.mark.parametrize("step", ["add", "keep_last", "batch"])
def test_an_interrupted_rotation_loses_nothing_and_is_finished_by_the_next(
    full: Server, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = opened(full.run)

    class Killed(BaseException):
        pass

    def die(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        if step == "batch":
            patched.setattr(secret_rotation, "_BATCH", 1)
        else:
            real = getattr(key_file, step)
            patched.setattr(key_file, step, die if step == "keep_last" else lambda file: die(real(file)))
        with pytest.raises(Killed):
            rotate(full.run, tell=die if step == "batch" else lambda _: None)

    assert opened(full.run) == before
    assert len(keys(full.run)) == 2
    newest = keys(full.run)[-1]
    assert rotate(full.run).resumed
    assert keys(full.run) == [newest]
    assert opened(full.run) == before


def test_a_secret_that_does_not_decrypt_stops_it_and_the_old_key_stays(full: Server) -> None:
    with full.run.database.connection_context():
        Repository.update(sealed_passphrase="abcd1234:AAAA").execute()

    with pytest.raises(SecretError, match=r"repositories\.passphrase, row 1"):
        rotate(full.run)
    assert len(keys(full.run)) == 2


def test_the_command_tells_what_it_did(full: Server, tmp_path: Path) -> None:
    config = tmp_path / "bbs-server.toml"
    config.write_text(f'directory = "{full.run.settings.directory}"\n')

    done = CliRunner().invoke(cli, ["--config", str(config), "rotate-secrets"])

    assert done.exit_code == 0, done.output
    assert "1 old key(s) removed" in done.output
    assert "canary" not in done.output
