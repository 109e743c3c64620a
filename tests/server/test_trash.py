# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleted repositories: as long as their data is there, so is what opens it, and a way back."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbs_server.errors import Conflict, NotFound, ServerFault
from bbs_server.models import Client, DeletedRepository, Repository
from bbs_server.services import deleted_repositories, repositories

from .backups import borg, create, directory
from .conftest import Server
from .remote_host import RemoteHost, remote_host
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


def command(server: Server, *arguments: str, name: str = "trash") -> subprocess.CompletedProcess[str]:
    config = server.run.settings.directory / "bbs-server.toml"
    config.write_text('server_host = "bbs.example"\nssh_user = "bbs"\n')
    program = [sys.executable, "-m", "bbs_server", "--config", str(config), name, *arguments]
    environment = os.environ | {"SUDO_USER": "alice\N{ESCAPE}\n"}
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=False)


def noted(server: Server) -> list[tuple[str, str, str]]:
    """What the log says of commands."""
    account = pwd.getpwuid(os.getuid()).pw_name
    rows = [row for row in server.get("/log")["log"] if row["actor"].startswith("user ")]
    assert {row["actor"] for row in rows} == {f"user alice as {account}"}
    assert SECRET not in str(rows)
    return [(row["action"], row["agent_name"], row["message"]) for row in rows]


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


@pytest.fixture(scope="module")
def host() -> Iterator[RemoteHost]:
    with remote_host() as running:
        yield running


def test_a_repository_on_another_host_is_put_back_where_its_data_stayed(
    server: Server, client: dict[str, Any], host: RemoteHost
) -> None:
    body = host.config(remote_base_path=str(host.place("kept")))
    config = server.post("/remote-ssh-configs", body)["id"]
    path = f"/clients/{client['id']}/repositories"
    remote = {"name": "main", "storage_type": "remote_ssh", "remote_ssh_config_id": config, "passphrase": SECRET}
    made = server.post(path, remote)
    create(host.data / "kept" / "main", "plan1-1", SECRET)
    host.give(host.data / "kept")
    delete(server, f"{path}/{made['id']}")
    delete(server, f"/remote-ssh-configs/{config}")

    with pytest.raises(Conflict, match=r"No remote SSH config leads to ssh://.*/kept/main: create one"):
        restore(server, client["id"])
    server.post("/remote-ssh-configs", {**body, "name": "another", "remote_base_path": str(host.place("other"))})
    again = server.post("/remote-ssh-configs", body)["id"]
    (host.data / "kept" / "main").rename(host.data / "away")
    with pytest.raises(ServerFault, match=r"The repository at ssh://.* could not be opened: .*does not exist"):
        restore(server, client["id"])
    (host.data / "away").rename(host.data / "kept" / "main")

    back = server.get(restore(server, client["id"]))

    assert (back["path"], back["storage_type"], back["remote_ssh_config_id"]) == (made["path"], "remote_ssh", again)
    assert in_trash(server) == []
    server.work()
    (archive,) = server.get(f"{path}/{back['id']}/archives")["archives"]
    assert archive["name"] == "plan1-1"
    delete(server, f"{path}/{back['id']}")
    server.post(path, {**remote, "name": "second", "remote_ssh_config_id": again})
    assert server.get(restore(server, client["id"], "rescued"))["path"] == made["path"]


def test_who_reads_a_passphrase_or_runs_borg_on_the_server_is_on_record(
    server: Server, client: dict[str, Any], locked_up: dict[str, Any]
) -> None:
    def borg_runs(*arguments: str) -> subprocess.CompletedProcess[str]:
        return command(server, "--client", "web01", "--repository", "main", *arguments, name="borg")

    assert borg_runs("list", "--short").stdout == "plan1-1\n"
    assert borg_runs("with-lock", "::", "echo", "password").stdout == "password\n"
    assert borg_runs("list", f"--comment={SECRET}", "\udcff").returncode == 2
    assert [message for _action, _client, message in noted(server)] == [
        """Borg was run on the repository "main": list '--comment=***' '\\udcff'""",
        """Borg was run on the repository "main": with-lock ...""",
        """Borg was run on the repository "main": list --short""",
    ]
    assert noted(server)[0][:2] == ("repository.borg", "web01")

    delete(server, f"/clients/{client['id']}/repositories/{locked_up['id']}")
    assert command(server, "passphrase", "1").stdout == f"{SECRET}\n"
    read = 'The passphrase of the deleted repository "main" of "web01" was read.'
    assert noted(server)[0] == ("repository.read_secrets", "web01", read)
    assert command(server, "restore", "1").returncode == 0
    assert noted(server)[0] == ("repository.restore", "web01", 'Repository "main" restored.')


def test_a_log_that_cannot_be_written_keeps_nobody_from_freeing_space(
    server: Server, locked_up: dict[str, Any]
) -> None:
    full = "CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    with server.run.database.connection_context():
        server.run.database.execute_sql(full)

    compacted = command(server, "--client", "web01", "--repository", "main", "compact", name="borg")

    assert compacted.returncode == 0
    assert compacted.stderr == "This could not be noted in the audit log: database or disk is full\n"
