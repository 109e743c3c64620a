# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleted repositories: as long as their data is there, so is what opens it, and a way back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bbs_server.errors import Conflict, NotFound
from bbs_server.models import Client, DeletedRepository, Repository
from bbs_server.services import deleted_repositories, repositories

from .backups import borg, create, directory
from .conftest import Server
from .wholeness import assert_whole

SECRET = "only on record here"


@pytest.fixture
def locked_up(server: Server, client: dict[str, Any]) -> dict[str, Any]:
    """An encrypted repository with an archive."""
    body = {"name": "main", "passphrase": SECRET}
    made: dict[str, Any] = server.post(f"/clients/{client['id']}/repositories", body)
    create(directory(server, made), "plan1-1", SECRET)
    return made


def delete(server: Server, path: str) -> None:
    assert server.call("DELETE", path).status_code == 200


def in_trash(server: Server) -> list[DeletedRepository]:
    with server.run.database.connection_context():
        return deleted_repositories.oldest_first()


def restore(server: Server, client: int, name: str | None = None) -> str:
    """Put the only one back; its path in the API."""
    with server.run.database.connection_context():
        (deleted,) = deleted_repositories.oldest_first()
        made = deleted_repositories.restore(server.run, deleted, Client.get_by_id(client), name)
    return f"/clients/{client}/repositories/{made.id}"


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text('server_host = "bbs.example"\nssh_user = "bbs"\n')
    program = [sys.executable, "-m", "bbs_server", "--config", str(config), "trash", *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_a_repository_deleted_by_mistake_is_opened_and_put_back(
    server: Server, client: dict[str, Any], locked_up: dict[str, Any]
) -> None:
    delete(server, f"/clients/{client['id']}/repositories/{locked_up['id']}")
    (deleted,) = in_trash(server)

    listed = command(server, "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "web01" in listed.stdout and deleted.path in listed.stdout and SECRET not in listed.stdout
    told = command(server, "passphrase", str(deleted.id))
    assert told.stdout == f"{SECRET}\n"
    assert borg("list", "--short", deleted.path, passphrase=told.stdout.strip()) == "plan1-1\n"

    restored = command(server, "restore", str(deleted.id))
    assert restored.stdout == "restored: repository main of web01\n", restored.stderr
    (again,) = server.get(f"/clients/{client['id']}/repositories")["repositories"]
    assert (again["name"], again["path"], again["encryption"]) == ("main", locked_up["path"], "repokey-blake2")
    with server.run.database.connection_context():
        assert repositories.passphrase(server.run, Repository.get()) == SECRET
    assert_whole(server.run)
    server.work()
    path = f"/clients/{client['id']}/repositories/{again['id']}"
    assert [archive["name"] for archive in server.get(f"{path}/archives")["archives"]] == ["plan1-1"]
    assert in_trash(server) == []
    assert command(server, "list").stdout == "The trash is empty.\n"
    assert command(server, "restore", str(deleted.id)).returncode == 1


def test_a_repository_of_a_deleted_client_goes_to_another_one(
    server: Server, client: dict[str, Any], locked_up: dict[str, Any]
) -> None:
    delete(server, f"/clients/{client['id']}")
    other = server.post("/clients", {"name": "web02"})["id"]
    server.post(f"/clients/{other}/repositories", {"name": "main", "encryption": "none"})
    (deleted,) = in_trash(server)
    with server.run.database.connection_context():
        with pytest.raises(NotFound, match="Its client 'web01' is gone"):
            deleted_repositories.owner(deleted, None)
        assert deleted_repositories.owner(deleted, "web02").id == other
    with pytest.raises(Conflict, match="choose a different name"):
        restore(server, other)

    path = restore(server, other, "rescued")

    assert server.get(path)["path"] == "ssh://bbs@bbs.example/./rescued"
    assert borg("list", "--short", str(server.run.settings.storage / str(other) / "rescued"), passphrase=SECRET)
    assert_whole(server.run)


def test_data_that_was_kept_is_taken_back_where_it_is(
    server: Server, client: dict[str, Any], locked_up: dict[str, Any]
) -> None:
    delete(server, f"/clients/{client['id']}/repositories/{locked_up['id']}?keep_data=1")
    server.clock.forward(days=100)
    server.work()
    assert server.get(restore(server, client["id"]))["name"] == "main"
    assert_whole(server.run)


def test_with_the_data_goes_what_opens_it(server: Server, client: dict[str, Any], locked_up: dict[str, Any]) -> None:
    delete(server, f"/clients/{client['id']}/repositories/{locked_up['id']}?dry_run=1")
    assert in_trash(server) == []
    delete(server, f"/clients/{client['id']}/repositories/{locked_up['id']}")

    server.clock.forward(days=6)
    server.work()
    assert len(in_trash(server)) == 1
    server.clock.forward(days=2)
    server.work()
    assert in_trash(server) == []


def test_nothing_is_forgotten_while_a_disk_is_not_mounted(server: Server, client: dict[str, Any], disk: Path) -> None:
    made = server.post(f"/clients/{client['id']}/repositories", {"name": "main", "storage_location_id": 2})
    delete(server, f"/clients/{client['id']}/repositories/{made['id']}")
    disk.rename(disk.with_name("elsewhere"))
    disk.mkdir()

    server.clock.forward(days=8)
    server.work()

    with pytest.raises(NotFound, match="Its data is gone"):
        restore(server, client["id"])
    disk.rmdir()
    disk.with_name("elsewhere").rename(disk)
    assert server.get(restore(server, client["id"]))["storage_location_id"] == 2


@pytest.fixture
def disk(server: Server, tmp_path: Path) -> Path:
    """Another storage location."""
    (tmp_path / "disk").mkdir()
    server.post("/storage", {"label": "disk", "path": str(tmp_path / "disk")})
    return tmp_path / "disk"
