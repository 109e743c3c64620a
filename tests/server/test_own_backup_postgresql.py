# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server backup`` and ``restore`` of a server on PostgreSQL, by its own programs."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bbs_server import cli, own_backup
from bbs_server.own_backup.database import BackupError
from bbs_server.runtime import Runtime
from bbs_server.scheduling import leases
from bbs_server.settings import Settings

from ..database_servers import PASSWORD, Postgres, open_directory, postgres
from .conftest import START


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with open_directory() as directory, postgres(directory / "pg") as made:
        yield made


@pytest.fixture
def config(cluster: Postgres) -> Iterator[Path]:
    """The settings of a server on a database of its own, in a folder that its account may enter."""
    with open_directory() as directory:
        name = f"server{abs(hash(directory))}"
        cluster.sql(f"CREATE DATABASE {name}")
        (directory / "password").write_text(PASSWORD)
        file = directory / "bbs-server.toml"
        file.write_text(
            f'database_url = "postgresql://backup@127.0.0.1:{cluster.port}/{name}"\n'
            f'database_password_file = "{directory}/password"\n'
        )
        assert command(file, "init").exit_code == 0
        yield file


def command(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, ["--config", str(config), *arguments])


def database(config: Path) -> str:
    return Settings.load(config).database_url.rpartition("/")[2]


def test_a_backup_takes_the_place_of_what_came_after_it(cluster: Postgres, config: Path) -> None:
    made = command(config, "backup", str(config.parent / "backups"))
    assert made.exit_code == 0, made.output
    (file,) = (config.parent / "backups").iterdir()
    with tarfile.open(file) as archive:
        assert "database.sql" in archive.getnames()
        assert PASSWORD.encode() not in b"".join(
            archive.extractfile(member).read()
            for member in archive
            if member.isfile() and member.name != "database.sql"
        )
    cluster.sql("UPDATE users SET username = 'later'", database(config))
    # As a newer version's migration would.
    cluster.sql("CREATE TABLE later (id bigint)", database(config))

    refused = command(config, "restore", str(file))
    assert "There is a server already" in str(refused.exception)
    restored = command(config, "restore", "--replace", str(file))
    assert restored.exit_code == 0, restored.output

    assert cluster.sql("SELECT username FROM users", database(config)) == "admin\n"
    assert cluster.sql("SELECT to_regclass('later')", database(config)) == "\n"
    assert command(config, "init").output == "unchanged\n"


def test_a_lost_database_comes_back(cluster: Postgres, config: Path) -> None:
    file = own_backup.make(Settings.load(config), config, config.parent / "backups", START).file
    cluster.sql(f"DROP DATABASE {database(config)} WITH (FORCE)")
    cluster.sql(f"CREATE DATABASE {database(config)}")
    Settings.load(config).key_file.unlink()

    assert command(config, "restore", str(file)).exit_code == 0
    assert command(config, "init").output == "unchanged\n"


def test_not_while_a_worker_runs(config: Path) -> None:
    file = own_backup.make(Settings.load(config), config, config.parent / "backups", START).file
    run = Runtime.open(Settings.load(config))
    with run.database.connection_context():
        leases.take(run, leases.UPKEEP, "this-worker")
        refused = command(config, "restore", "--replace", str(file))
        assert str(refused.exception).startswith("The worker this-worker runs: stop it first.")
        leases.release(run, "this-worker")
    run.close()


def test_a_failure_is_one_sentence_without_the_password(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(config)
    file = own_backup.make(settings, config, config.parent / "backups", START).file
    config.write_text(config.read_text().replace("backup@", "nobody@"))
    with pytest.raises(BackupError, match=r"pg_dump failed: .*password authentication failed"):
        own_backup.make(Settings.load(config), config, config.parent / "backups", START)

    monkeypatch.setenv("PATH", str(config.parent))
    with pytest.raises(BackupError, match="pg_dump is missing: install PostgreSQL's client programs"):
        own_backup.make(settings, config, config.parent / "backups", START)
    assert list((config.parent / "backups").iterdir()) == [file]


def test_a_backup_of_the_other_kind_is_refused(config: Path) -> None:
    file = own_backup.make(Settings.load(config), config, config.parent / "backups", START).file
    config.write_text("listen_port = 9\n")
    with pytest.raises(BackupError, match=r"has no database.sqlite: it is of a server on another kind of database"):
        own_backup.restore(file, config, replace=True)
