# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server backup`` and ``restore``: a lost machine can open its repositories again."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bbs_server import cli, own_backup
from bbs_server.app import create_app
from bbs_server.own_backup.database import BackupError
from bbs_server.runtime import Runtime
from bbs_server.scheduling import leases
from bbs_server.settings import Settings

from .conftest import START, Server, make_server


@dataclass
class Machine:
    """A server's machine, of which only repositories and backups survive."""

    folder: Path
    config: Path
    backups: Path

    @property
    def settings(self) -> Settings:
        return Settings.load(self.config)

    def lose(self) -> None:
        for path in self.config.parent.iterdir():
            if path.is_dir() and path.name != "repositories":
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli.cli, ["--config", str(self.config), *arguments])

    def back_up(self, keep: int = 0) -> Path:
        return own_backup.make(self.settings, self.config, self.backups, START, keep=keep).file


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    config = tmp_path / "server" / "bbs-server.toml"
    config.parent.mkdir()
    config.write_text('server_host = "bbs.example"\nprivate_sshd = true\nlisten_port = 9\n')
    made = Machine(tmp_path, config, tmp_path / "backups")
    assert made.command("init").exit_code == 0
    return made


def test_a_lost_machine_comes_back(tmp_path: Path) -> None:
    with make_server(tmp_path, private_sshd=True) as before:
        client = before.post("/clients", {"name": "web01"})
        made = before.post(f"/clients/{client['id']}/repositories", {"name": "main", "passphrase": "only in there"})
    config = tmp_path / "server" / "bbs-server.toml"
    config.write_text('server_host = "bbs.example"\nprivate_sshd = true\n')
    machine = Machine(tmp_path, config, tmp_path / "backups")
    host_key = (config.parent / "ssh" / "host_ed25519_key").read_bytes()
    authorized = (config.parent / "ssh" / "authorized_keys").read_bytes()
    file = machine.back_up()

    machine.lose()
    assert not config.exists()
    restored = machine.command("restore", str(file))
    assert restored.exit_code == 0, restored.output
    assert machine.command("init").exit_code == 0

    assert (config.parent / "ssh" / "host_ed25519_key").read_bytes() == host_key
    assert (config.parent / "ssh" / "authorized_keys").read_bytes() == authorized
    opened = machine.command("doctor")
    assert "does not decrypt" not in opened.output
    assert f"id {made['id']}) is missing" not in opened.output
    reply = (
        create_app(machine.settings)
        .test_client()
        .get("/api/v1/clients", headers={"Authorization": f"Bearer {before.token}"})
    )
    assert [found["name"] for found in reply.json["clients"]] == ["web01"]


def test_it_is_closed_to_others(machine: Machine) -> None:
    made = machine.command("backup", str(machine.backups))
    (file,) = machine.backups.iterdir()

    assert made.stdout == f"created: {file}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert machine.backups.stat().st_mode & 0o777 == 0o700


def test_a_write_that_is_under_way_is_not_in_it(machine: Machine) -> None:
    with closing(sqlite3.connect(machine.config.parent / "bbs.sqlite")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE users SET username = 'half-way'")
        file = machine.back_up()
        writer.rollback()

    with tarfile.open(file) as archive:
        archive.extract("database.sqlite", machine.folder, filter="data")
    with closing(sqlite3.connect(machine.folder / "database.sqlite")) as copy:
        assert copy.execute("SELECT username FROM users").fetchall() == [("admin",)]


def test_a_server_that_is_there_stays_unless_told(machine: Machine) -> None:
    file = machine.back_up()
    keys = machine.settings.key_file
    keys.write_text("other")

    with pytest.raises(BackupError, match=r"There is a server already: .*--replace"):
        own_backup.restore(file, machine.config)
    assert keys.read_text() == "other"

    journal = machine.config.parent / "bbs.sqlite-wal"
    journal.write_text("of the other database")
    own_backup.restore(file, machine.config, replace=True)
    assert not journal.exists()
    assert machine.command("init").output == "unchanged\n"


def test_not_while_it_runs(machine: Machine) -> None:
    file = machine.back_up()
    run = Runtime.open(machine.settings)
    with run.database.connection_context():
        leases.take(run, leases.UPKEEP, "this-worker")
        refused = machine.command("restore", "--replace", str(file))
        assert str(refused.exception).startswith("The worker this-worker runs: stop it first.")
        leases.release(run, "this-worker")
    assert machine.command("restore", "--replace", str(file)).exit_code == 0


def test_only_the_newest_stay(machine: Machine) -> None:
    machine.backups.mkdir()
    (machine.backups / "notes.txt").touch()
    for day in ("20261120", "20261121", "20261122"):
        (machine.backups / f"bbs-server-{day}T000000Z.tar.gz").touch()
    file = machine.back_up(keep=2)

    assert {path.name for path in machine.backups.iterdir()} == {
        "notes.txt",
        "bbs-server-20261122T000000Z.tar.gz",
        file.name,
    }
    assert machine.command("backup", str(machine.backups), "--keep", "-1").exit_code == 2
    assert file.exists()


def test_host_keys_of_the_system(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    system = machine.folder / "etc-ssh"
    system.mkdir()
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"):
        (system / name).write_text(f"content of {name}")
    monkeypatch.setattr(own_backup, "SYSTEM_HOST_KEYS", system)
    machine.config.write_text("listen_port = 9\n")
    file = machine.back_up()

    for path in system.iterdir():
        path.write_text("of the new machine")
    own_backup.restore(file, machine.config, replace=True)
    assert (system / "ssh_host_ed25519_key").read_text() == "of the new machine"
    own_backup.restore(file, machine.config, replace=True, host_keys=True)
    assert (system / "ssh_host_ed25519_key").read_text() == "content of ssh_host_ed25519_key"
    assert (system / "ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600


def _replaced(file: Path, name: str, content: bytes) -> Path:
    """A copy of a backup in which one member says something else."""
    altered = file.with_name("altered.tar.gz")
    with tarfile.open(file) as source, tarfile.open(altered, "w:gz") as target:
        for member in source:
            if member.name == name:
                member.size = len(content)
                target.addfile(member, io.BytesIO(content))
            else:
                target.addfile(member, source.extractfile(member))
    return altered


@pytest.mark.parametrize(
    ("member", "content", "reason"),
    [
        ("manifest.json", json.dumps({"format": 99}).encode(), "has the format 99, this version reads the format 1"),
        ("manifest.json", b"{", "is not a backup of a Borg Backup Server"),
        ("database.sqlite", b"no database" * 100, "The copy of the database is damaged"),
    ],
)
def test_what_cannot_be_put_back_changes_nothing(machine: Machine, member: str, content: bytes, reason: str) -> None:
    altered = _replaced(machine.back_up(), member, content)
    keys = machine.settings.key_file.read_bytes()

    with pytest.raises(BackupError, match=reason):
        own_backup.restore(altered, machine.config, replace=True)
    assert machine.settings.key_file.read_bytes() == keys
    assert not list(machine.config.parent.glob(".restore-*"))


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "link"])
def test_nothing_is_written_beside_it(machine: Machine, name: str) -> None:
    file = machine.back_up()
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = (tarfile.SYMTYPE, "/etc/passwd") if name == "link" else (tarfile.REGTYPE, "")
    with tarfile.open(file) as source, tarfile.open(machine.folder / "more.tar.gz", "w:gz") as target:
        for member in source:
            target.addfile(member, source.extractfile(member))
        target.addfile(entry)

    with pytest.raises(BackupError, match=f"holds '{name}', which is in no backup"):
        own_backup.restore(machine.folder / "more.tar.gz", machine.config, replace=True)


def test_every_python_that_the_server_runs_with_restores(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Debian 12's has no filters for archives yet: extractall takes a path alone.
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda self, path: None)
    keys = machine.settings.key_file.read_bytes()
    file = machine.back_up()
    machine.lose()

    own_backup.restore(file, machine.config)
    assert machine.settings.key_file.read_bytes() == keys


def test_not_a_backup_at_all(machine: Machine, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    refused = machine.command("restore", str(text))
    assert str(refused.exception) == f"{text} is not a backup of a Borg Backup Server."


def test_settings_go_back_where_they_were(machine: Machine, tmp_path: Path) -> None:
    file = machine.back_up()
    elsewhere = tmp_path / "elsewhere" / "bbs-server.toml"
    with pytest.raises(BackupError, match=f"belong beside their data, in {machine.config.parent}"):
        own_backup.restore(file, elsewhere)
    assert not elsewhere.exists()


def test_nothing_to_back_up(tmp_path: Path) -> None:
    config = tmp_path / "bbs-server.toml"
    config.write_text("")
    with pytest.raises(BackupError, match="There is no server in"):
        own_backup.make(Settings.load(config), config, tmp_path / "backups", START)
    assert not (tmp_path / "backups").exists()


def test_a_damaged_database_is_not_backed_up(server: Server, tmp_path: Path) -> None:
    settings = server.run.settings
    server.run.database.close()
    Path(settings.database.removeprefix("sqlite:///")).write_bytes(b"no database" * 100)
    config = tmp_path / "bbs-server.toml"
    config.write_text(f'directory = "{settings.directory}"\n')

    with pytest.raises(BackupError, match="cannot be copied: file is not a database"):
        own_backup.make(settings, config, tmp_path / "backups", START)
    assert list((tmp_path / "backups").iterdir()) == []
