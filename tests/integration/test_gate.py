# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate, over real SSH: a client reaches its own repositories by appending, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import LiveServer

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class SshClient:
    """A machine with a client's SSH key."""

    server: LiveServer
    key_file: Path
    identifier: int
    account: str
    known_hosts: Path

    @property
    def ssh(self) -> list[str]:
        return [
            "ssh", "-i", str(self.key_file), "-p", str(self.server.ssh_port), "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes",
        ]  # fmt: skip

    def command(self, text: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        arguments = [*self.ssh, f"{self.account}@127.0.0.1", text]
        return subprocess.run(arguments, input=stdin, capture_output=True, timeout=30, check=False)

    def borg(self, *arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run borg; ``more`` goes to its environment."""
        environment = (
            os.environ
            | more
            | {
                "BORG_RSH": " ".join(self.ssh),
                "BORG_BASE_DIR": str(self.key_file.parent / "borg"),
                "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            }
        )
        return subprocess.run(
            ["borg", *arguments],
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def _request(url: str, secret: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as reply:
        return json.load(reply)


def _make(server: LiveServer, token: str, name: str, directory: Path) -> SshClient:
    client = _request(f"{server.url}/api/v1/clients", token, {"name": name})
    _request(f"{server.url}/api/v1/clients/{client['id']}/repositories", token, {"name": "main", "encryption": "none"})
    access = _request(f"{server.url}/api/agent/ssh-key", client["api_key"])
    directory.mkdir()
    key_file, known_hosts = directory / "key", directory / "known_hosts"
    key_file.touch(0o600)
    key_file.write_text(access["ssh_private_key"])
    known_hosts.write_text("".join(f"[127.0.0.1]:{access['ssh_port']} {key}\n" for key in access["ssh_host_keys"]))
    return SshClient(server, key_file, client["id"], access["ssh_unix_user"], known_hosts)


@pytest.fixture(scope="module")
def pair(live_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[SshClient, SshClient]:
    """Two clients, each with a repository ``main``."""
    token, directory = live_server.mint("gate"), tmp_path_factory.mktemp("gate")
    return _make(live_server, token, "gate-one", directory / "1"), _make(
        live_server, token, "gate-two", directory / "2"
    )


def test_ping(pair: tuple[SshClient, SshClient]) -> None:
    assert pair[0].command("ping").stdout == b"pong\n"


def test_a_lock_is_removed_when_its_holder_was_killed_and_not_before(pair: tuple[SshClient, SshClient]) -> None:
    one = pair[0]
    repository = one.server.directory / "repositories" / str(one.identifier) / "main"
    lock = repository / "lock.exclusive"
    answers = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    base = {"BORG_BASE_DIR": str(one.key_file.parent / "other-borg")}
    holding = ["borg", "with-lock", str(repository), "sh", "-c", "echo held; exec sleep 100"]
    with subprocess.Popen(
        holding, env=os.environ | answers | base, stdout=subprocess.PIPE, start_new_session=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        one.command("borg serve")
        assert lock.exists()
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
    assert lock.exists()
    one.command("borg serve")
    assert not lock.exists()


def test_a_backup_goes_through_and_can_be_read_back(pair: tuple[SshClient, SshClient], tmp_path: Path) -> None:
    one = pair[0]
    (tmp_path / "file").write_text("content")
    url = f"ssh://{one.account}@127.0.0.1/./main"

    created = one.borg("create", f"{url}::first", "file", cwd=tmp_path)
    assert created.returncode == 0, created.stderr
    assert one.borg("extract", "--stdout", f"{url}::first", "file").stdout == "content"


@pytest.mark.parametrize(
    "command",
    [
        "", "sh", "id", "borg list", "borg", "borgserve", "borg servefoo", "ping; id", "ping\nid", "catalog-write",
        "catalog-write 1; id", "catalog-write ../1", "catalog-write -1", "scp -t /tmp", "internal-sftp", "$(id)",
    ],
)  # fmt: skip
def test_anything_else_is_refused(pair: tuple[SshClient, SshClient], command: str) -> None:
    refused = pair[0].command(command)

    assert refused.returncode != 0
    assert b"uid=" not in refused.stdout
    assert b"this key allows only" in refused.stderr


@pytest.mark.parametrize(
    "path",
    ["./../{other}/main", "./main/../../{other}/main", "/{storage}/{other}/main", "/etc", "./../../bbs.sqlite"],
)
def test_no_path_leads_to_another_client(pair: tuple[SshClient, SshClient], path: str) -> None:
    one, two = pair
    storage = one.server.directory / "repositories"
    target = path.format(other=two.identifier, storage=str(storage).lstrip("/"))

    refused = one.borg("list", f"ssh://{one.account}@127.0.0.1/{target}")
    assert refused.returncode == 2
    assert "not allowed" in refused.stderr or "does not exist" in refused.stderr


NAMES_WITH_A_MEANING = [".bbs-moved-from", "main/.bbs-moved-from", "other/.bbs-moved-from", ".new-x/.lock", "other"]


@pytest.mark.parametrize("path", NAMES_WITH_A_MEANING)
def test_a_client_makes_no_folder(pair: tuple[SshClient, SshClient], path: str) -> None:
    """The server finds its own way about by the names of some."""
    one = pair[0]
    home = one.server.directory / "repositories" / str(one.identifier)
    before = {found.name for found in home.iterdir()}

    refused = one.borg("init", "--make-parent-dirs", "--encryption=none", f"ssh://{one.account}@127.0.0.1/./{path}")
    assert refused.returncode == 2
    assert "not allowed" in refused.stderr
    assert {found.name for found in home.iterdir()} == before


def test_a_client_without_repositories_reaches_none(live_server: LiveServer, pair: tuple[SshClient, SshClient]) -> None:
    two = pair[1]
    client = _request(f"{live_server.url}/api/v1/clients", live_server.mint("gate-three"), {"name": "gate-three"})
    access = _request(f"{live_server.url}/api/agent/ssh-key", client["api_key"])
    three = SshClient(live_server, two.key_file.with_name("three"), client["id"], two.account, two.known_hosts)
    three.key_file.touch(0o600)
    three.key_file.write_text(access["ssh_private_key"])

    assert three.command("ping").stdout == b"pong\n"
    for path in ("x", f"../{two.identifier}/main"):
        assert (
            "not allowed" in three.borg("init", "--encryption=none", f"ssh://{two.account}@127.0.0.1/./{path}").stderr
        )


def test_a_symbolic_link_leads_nowhere_else(pair: tuple[SshClient, SshClient]) -> None:
    one, two = pair
    storage = one.server.directory / "repositories"
    (storage / str(one.identifier) / "link").symlink_to(storage / str(two.identifier) / "main")

    refused = one.borg("list", f"ssh://{one.account}@127.0.0.1/./link")
    assert refused.returncode == 2
    assert "not allowed" in refused.stderr


def test_serve_ignores_the_clients_own_arguments(pair: tuple[SshClient, SshClient]) -> None:
    one, two = pair
    other = one.server.directory / "repositories" / str(two.identifier)

    refused = one.borg(
        "list", "--remote-path", f"borg serve --restrict-to-path {other}", f"ssh://{one.account}@127.0.0.1/{other}/main"
    )
    assert refused.returncode == 2


def test_deleting_does_not_destroy(pair: tuple[SshClient, SshClient], tmp_path: Path) -> None:
    two = pair[1]
    (tmp_path / "file").write_text("precious")
    url = f"ssh://{two.account}@127.0.0.1/./main"
    assert two.borg("create", f"{url}::kept", "file", cwd=tmp_path).returncode == 0
    segments = two.server.directory / "repositories" / str(two.identifier) / "main" / "data"
    before = {file.relative_to(segments) for file in segments.rglob("*") if file.is_file()}

    two.borg("delete", f"{url}::kept")
    two.borg("compact", url)

    after = {file.relative_to(segments) for file in segments.rglob("*") if file.is_file()}
    assert before <= after


@pytest.mark.slow
def test_a_client_that_replaces_its_key_locks_nobody_out(pair: tuple[SshClient, SshClient], tmp_path: Path) -> None:
    """Borg lets it, also where it may only append; the server has the key on record."""
    two = pair[1]
    token = two.server.mint("gate-key")
    body = {"name": "locked", "passphrase": "on record"}
    repositories = f"{two.server.url}/api/v1/clients/{two.identifier}/repositories"
    made = _request(repositories, token, body)
    (tmp_path / "file").write_text("precious")
    url = f"ssh://{two.account}@127.0.0.1/./locked"
    assert two.borg("create", f"{url}::kept", "file", cwd=tmp_path, BORG_PASSPHRASE="on record").returncode == 0
    listing = ("bbs-server", "borg", "--client", "gate-two", "--repository", "locked", "list", "--short")
    assert two.server.command(*listing).stdout == "kept\n"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _request(f"{repositories}/{made['id']}", token)["size_bytes"]:
        assert time.monotonic() < deadline, "the worker has not looked at it"
        time.sleep(0.1)

    changed = two.borg("key", "change-passphrase", url, BORG_PASSPHRASE="on record", BORG_NEW_PASSPHRASE="another")
    assert changed.returncode == 0, changed.stderr
    assert "is incorrect" in two.server.command(*listing).stderr
    assert "was replaced, by the client or by hand" in two.server.command("bbs-server", "doctor").stdout

    repaired = two.server.command("bbs-server", "doctor", "--repair").stdout
    assert "has the key again that belongs to the passphrase on record" in repaired
    assert two.server.command(*listing).stdout == "kept\n"


def test_catalogue_is_stored_whole_or_not_at_all(pair: tuple[SshClient, SshClient]) -> None:
    one = pair[0]
    folder = one.server.directory / "repositories" / str(one.identifier) / ".catalog"

    assert one.command("catalog-write 7", b'{"path": "/etc/hosts"}\n').returncode == 0
    assert (folder / "catalog-7.jsonl").read_bytes() == b'{"path": "/etc/hosts"}\n'
    assert [file.name for file in folder.iterdir()] == ["catalog-7.jsonl"]


def test_no_terminal_and_no_forwarding(pair: tuple[SshClient, SshClient]) -> None:
    one = pair[0]
    arguments = [*one.ssh, "-W", f"127.0.0.1:{one.server.port}", f"{one.account}@127.0.0.1"]
    refused = subprocess.run(arguments, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=30, check=False)

    assert refused.returncode != 0
    assert b"HTTP" not in refused.stdout
