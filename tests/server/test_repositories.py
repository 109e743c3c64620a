# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories over the API, made by real borg (admin-api.md §5.2)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee
import pytest

from bbs_server.borg.command import ENCRYPTIONS, Borg, BorgError, reason

from .conftest import Server


def path_of(client: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/repositories"


@pytest.mark.parametrize("encryption", ENCRYPTIONS)
def test_every_encryption_makes_a_repository_that_borg_opens(
    server: Server, client: dict[str, Any], encryption: str
) -> None:
    made = server.post(path_of(client), {"name": "Main Repo", "encryption": encryption})

    assert made["name"] == "main-repo"
    assert made["path"] == "ssh://bbs@bbs.example/./main-repo"
    assert ("passphrase" in made) == (encryption != "none")
    directory = server.run.settings.storage / str(client["id"]) / "main-repo"
    assert server.run.borg.run(["list", str(directory)], made.get("passphrase")) == ""


def test_a_given_passphrase_opens_it_and_is_nowhere_in_clear(server: Server, client: dict[str, Any]) -> None:
    made = server.post(path_of(client), {"name": "main", "passphrase": "canary pass phrase"})

    assert made["passphrase"] == "canary pass phrase"
    for file in server.run.settings.directory.rglob("*"):
        assert not file.is_file() or b"canary pass phrase" not in file.read_bytes(), file
    assert "canary" not in str(server.get(f"/clients/{client['id']}"))


def test_generated_passphrases_have_upstreams_form(server: Server, client: dict[str, Any]) -> None:
    made = server.post(path_of(client), {"name": "main"})

    groups = made["passphrase"].split("-")
    assert [len(group) for group in groups] == [4] * 5
    assert made["passphrase"] == made["passphrase"].upper()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "r" * 101}, "name"),
        ({"name": "x", "encryption": "keyfile"}, "encryption"),
        ({"name": "x", "encryption": ["none"]}, "encryption"),
        ({"name": "x", "passphrase": ["secret-canary"]}, "passphrase"),
        ({"name": "x", "storage_location_id": 999}, "storage_location_id"),
        ({"name": "x", "storage_location_id": "abc"}, "storage_location_id"),
    ],
)
def test_bad_input_names_the_field_and_leaves_nothing(
    server: Server, client: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    reply = server.call("POST", path_of(client), body)

    assert reply.status_code == 400
    assert reply.json["error"].startswith(f"{field}: ")
    assert "canary" not in reply.text
    assert server.get(path_of(client)) == {"repositories": []}
    assert list((server.run.settings.storage / str(client["id"])).iterdir()) == []


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a/b/c", "!!!", "日本語", "-rf", ".hidden"])
def test_a_hostile_name_stays_inside_the_clients_folder(server: Server, client: dict[str, Any], name: str) -> None:
    made = server.post(path_of(client), {"name": name, "encryption": "none"})

    (folder,) = (server.run.settings.storage / str(client["id"])).iterdir()
    assert folder.name == made["name"]
    assert set(made["name"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_the_same_slug_is_taken_once_per_client(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    assert server.call("POST", path_of(client), {"name": "MAIN!", "encryption": "none"}).status_code == 409

    other = server.post("/clients", {"name": "web02"})
    assert server.post(path_of(other), {"name": "main", "encryption": "none"})["name"] == "main"


def test_a_borg_that_fails_leaves_nothing(
    server: Server, client: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/bin/false")
    reply = server.call("POST", path_of(client), {"name": "main"})

    assert reply.status_code == 500
    assert "Borg could not create the repository" in reply.json["error"]
    assert server.get(path_of(client)) == {"repositories": []}
    assert list((server.run.settings.storage / str(client["id"])).iterdir()) == []


FULL = "No space left on device: the disk of the repository is full; free some space"

TRACEBACK = """\
Local Exception
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/borg/archiver.py", line 5213, in main
    exit_code = archiver.run(args)
OSError: [Errno 28] No space left on device: '/srv/1/.new/config'

Platform: Linux h1 6.1.0
Borg: 1.2.4  Python: CPython 3.11.2
"""


def test_borgs_traceback_becomes_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "borg"
    fake.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{TRACEBACK}END\nexit 2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(BorgError) as failed:
        Borg(tmp_path, tmp_path).run(["check"], None)

    cause = "OSError: [Errno 28] No space left on device: '/srv/1/.new/config'"
    assert str(failed.value).splitlines() == [FULL, "Local Exception", cause]


def test_why_borg_failed() -> None:
    assert reason("Repository /x does not exist.\n") == "Repository /x does not exist."
    assert reason("") == ""
    assert reason("Insufficient free space to complete transaction (required: 1 GB).").startswith(FULL)
    remote = "".join(f"Remote: {line}\n" for line in TRACEBACK.splitlines())
    assert "File" not in reason(remote)
    assert reason(remote) == reason(TRACEBACK)
    long = "".join(f"line {number}\n" for number in range(1000))
    assert len(reason(long)) < 4000
    assert reason(long).startswith("line ")
    assert reason(long).endswith("line 999")


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """A folder on a file system of its own that has no room left."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=True)
    try:
        with (directory / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"\0" * 4096)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_told_in_a_sentence(server: Server, client: dict[str, Any]) -> None:
    with full_disk(server.run.settings.storage / str(client["id"])):
        reply = server.call("POST", path_of(client), {"name": "main", "encryption": "none"})

    assert reply.status_code == 500
    assert reply.json["error"].startswith(f"Borg could not create the repository: {FULL}")
    assert "Traceback" not in reply.text
    assert "\\n" not in reply.text
    assert server.post(path_of(client), {"name": "main", "encryption": "none"})["name"] == "main"


@contextmanager
def failing_commit(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that takes writes but cannot keep them."""

    def fail() -> None:
        raise peewee.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(server.run.database, "commit", fail)
        yield


def test_a_failed_commit_takes_back_what_was_created(
    server: Server, client: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing_commit(server, monkeypatch):
        assert server.call("POST", path_of(client), {"name": "main", "encryption": "none"}).status_code == 500

    assert list((server.run.settings.storage / str(client["id"])).iterdir()) == []
    assert server.post(path_of(client), {"name": "main", "encryption": "none"})["name"] == "main"


def test_a_failed_commit_takes_back_a_rename(
    server: Server, client: dict[str, Any], repository: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{path_of(client)}/{repository['id']}"
    with failing_commit(server, monkeypatch):
        assert server.call("PUT", path, {"name": "other"}).status_code == 500

    assert [folder.name for folder in (server.run.settings.storage / str(client["id"])).iterdir()] == ["main"]
    assert server.get(path)["name"] == "main"
    assert server.call("PUT", path, {"name": "other"}).status_code == 200


def test_a_folder_that_cannot_be_renamed_is_told(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    shutil.rmtree(server.run.settings.storage / str(client["id"]) / "main")
    reply = server.call("PUT", f"{path_of(client)}/{repository['id']}", {"name": "other"})

    assert reply.status_code == 500
    assert reply.json["error"] == "The repository could not be put in its place: No such file or directory."


def test_borg_missing_is_told_with_what_to_do(
    server: Server, client: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    assert "install the package borgbackup" in server.call("POST", path_of(client), {"name": "main"}).json["error"]


def test_the_passphrase_is_in_no_argument_list(
    server: Server, client: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, wrapper = tmp_path / "arguments", tmp_path / "bin" / "borg"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{arguments}\nexec {shutil.which("borg")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")

    server.post(path_of(client), {"name": "main", "passphrase": "canary"})

    assert "init" in arguments.read_text()
    assert "canary" not in arguments.read_text()


def test_rename_moves_the_folder(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    path = f"{path_of(client)}/{repository['id']}"
    server.post(path_of(client), {"name": "other", "encryption": "none"})

    assert server.call("PUT", path, {"name": "main"}).status_code == 200
    assert server.call("PUT", path, {"name": "other"}).status_code == 409
    renamed = server.call("PUT", path, {"name": "New Name"})
    assert renamed.json == {"status": "ok", "name": "new-name", "path": "ssh://bbs@bbs.example/./new-name"}
    assert (server.run.settings.storage / str(client["id"]) / "new-name" / "config").is_file()


def test_deletion_refuses_while_plans_use_it(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    path = f"{path_of(client)}/{repository['id']}"

    refused = server.call("DELETE", path)
    assert refused.status_code == 409
    assert refused.json["reason"] == "plans_attached"
    assert refused.json["plans"] == [{"id": plan["id"], "name": "p"}]

    server.call("DELETE", f"/clients/{client['id']}/plans/{plan['id']}")
    assert server.call("DELETE", path).status_code == 200
    assert server.call("DELETE", path).status_code == 404


def test_data_can_be_kept(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> None:
    server.call("DELETE", f"{path_of(client)}/{repository['id']}?keep_data=1")

    assert (server.run.settings.storage / str(client["id"]) / "main" / "config").is_file()
    assert server.call("POST", path_of(client), {"name": "main"}).status_code == 409


def test_another_clients_repository_is_not_found(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    other = server.post("/clients", {"name": "web02"})

    assert server.call("GET", f"{path_of(other)}/{repository['id']}").status_code == 404
    assert server.call("DELETE", f"{path_of(other)}/{repository['id']}").status_code == 404
    assert server.get(f"{path_of(client)}/{repository['id']}")["archive_count"] == 0


def test_reads_tell_where_it_lies_and_a_name_finds_it(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    server.post(path_of(client), {"name": "second", "encryption": "none"})

    (found,) = server.get(f"{path_of(client)}?name=Main")["repositories"]

    assert found == server.get(f"{path_of(client)}/{repository['id']}")
    assert (found["storage_location_id"], found["storage_location_name"]) == (1, "Default")
    assert (found["remote_ssh_config_id"], found["remote_ssh_config_name"]) == (None, None)
    assert server.get(f"{path_of(client)}?name=third")["repositories"] == []
