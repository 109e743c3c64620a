# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request whose process is killed, before each single step that it takes on the disk: the next start puts it right.

A power cut differs from that in one point: what was not waited for may be lost, in any order. So whatever a request
does on the disk has to be waited for before the row that tells of it is committed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bbs_server import durable
from bbs_server.models import Repository
from bbs_server.services import deleted_repositories, recovery
from bbs_server.services.moves import MARK

from .conftest import Server
from .wholeness import assert_whole

KILLED = 9
MOST_STEPS = 60
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree", "open", "subprocess.Popen"}
DONE_BEFORE = {"POST": 409, "PUT": 200, "DELETE": 404}
"""What a request is answered that had been carried out, although its process was killed."""


@dataclass
class Steps:
    """What a request does on the disk, one step after the other."""

    server: Server
    fatal: int = 0
    """The step before which the process ends; 0: none."""
    count: int = 0
    unsettled: set[str] = field(default_factory=set)
    """Files and folders that a power cut could still take away."""
    risked: list[set[str]] = field(default_factory=list)
    """Those of them, at the times of COMMIT."""

    def step(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            os._exit(KILLED)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or (event == "open" and not arguments[2] & WRITING):
            return
        paths = [str(part) for part in arguments if isinstance(part, str | Path)]
        places = [path for path in paths if path.startswith(str(self.server.run.settings.directory.parent))]
        if event == "subprocess.Popen" or places:
            self.step()
        # No row tells of what is temporary.
        places = [place for place in places if not place.startswith(str(self.server.run.settings.temporary_directory))]
        if event in ("os.mkdir", "os.rename"):
            self.unsettled |= {str(Path(place).parent) for place in places}
        elif event == "open":
            self.unsettled |= {place for place in places if not place.endswith(".lock")}

    def settled(self, descriptor: int) -> None:
        self.unsettled.discard(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """From here on until the process ends: there is no way to take an audit hook off."""
        database, fsync, fdatasync = self.server.run.database, os.fsync, os.fdatasync
        commit, synced = database.commit, list[str]()

        def watched_commit() -> None:
            self.step()
            self.risked.append(set(self.unsettled))
            synced.clear()
            commit()
            assert synced == [f"{database.database}-wal"], "the COMMIT itself may be lost"
            self.step()

        def watched_fsync(descriptor: int) -> None:
            self.settled(descriptor)
            fsync(descriptor)

        def watched_fdatasync(descriptor: int) -> None:
            self.step()
            synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            fdatasync(descriptor)

        database.commit = watched_commit
        os.fsync = watched_fsync
        os.fdatasync = watched_fdatasync
        sys.addaudithook(self.audit)
        yield


Request = Callable[[], TestResponse]


def killed_at(server: Server, fatal: int, request: Request) -> bool:
    """Make a request in a process of its own that ends before a certain step; false when there is no such step."""
    server.run.database.close_all()
    with warnings.catch_warnings():
        # The child makes one request and ends.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 1
        try:
            steps = Steps(server, fatal)
            with steps.watched():
                reply = request()
            code = 0 if reply.status_code < 300 and not any(steps.risked) else 1
            if code:
                print(reply.status_code, reply.text, steps.risked, file=sys.stderr)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), "the request failed, or a power cut could take what a row tells of"
    return code == KILLED


def cut_off_everywhere(server: Server, method: str, prepare: Callable[[int], tuple[str, Any]], kept: str = "") -> int:
    """Kill a request before each of its steps; returns how many there are.

    :param prepare: path and body of the request, given the number of the step
    """
    for fatal in range(1, MOST_STEPS):
        path, body = prepare(fatal)
        if not killed_at(server, fatal, lambda path=path, body=body: server.call(method, path, body)):  # type: ignore[misc]
            assert_whole(server.run, kept)
            return fatal - 1
        with server.run.database.connection_context():
            recovery.recover(server.run)
        assert_whole(server.run, kept)
        again = server.call(method, path, body)
        assert again.status_code in (200, 201, DONE_BEFORE[method]), again.text
        assert_whole(server.run, kept)
    raise AssertionError("the request never succeeded")


@pytest.fixture(autouse=True)
def no_other_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may be put where nobody would ever remove it."""
    (tmp_path / "system").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "system"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    assert not list((tmp_path / "system").iterdir())


@pytest.fixture
def disk(server: Server, tmp_path: Path) -> int:
    """Another storage location."""
    (tmp_path / "disk").mkdir()
    return int(server.post("/storage", {"label": "disk", "path": str(tmp_path / "disk")})["id"])


def make(server: Server, name: str, **values: Any) -> str:
    """A client with a repository; the repository's path in the API."""
    client = server.post("/clients", {"name": name})
    base = f"/clients/{client['id']}/repositories"
    made = server.post(base, {"name": "main", "encryption": "none", **values})
    return f"{base}/{made['id']}"


def test_a_client_is_created(server: Server) -> None:
    assert cut_off_everywhere(server, "POST", lambda step: ("/clients", {"name": f"web{step}"})) >= 4


def test_a_repository_is_created(server: Server, disk: int) -> None:
    client = server.post("/clients", {"name": "web01"})
    path, body = f"/clients/{client['id']}/repositories", {"encryption": "none", "storage_location_id": disk}
    assert cut_off_everywhere(server, "POST", lambda step: (path, body | {"name": f"r{step}"})) >= 8


def test_a_name_is_free_again_at_once(server: Server) -> None:
    path = make(server, "web01")
    clients, _, number = path.partition("/repositories/")
    folder = server.run.settings.storage / clients.rpartition("/")[2] / "main"
    with server.run.database.connection_context():
        Repository.delete_by_id(int(number))
    durable.write(
        folder / MARK, str(folder.relative_to(server.run.settings.storage).with_name(".new-x") / "repository")
    )
    server.post(f"{clients}/repositories", {"name": "main", "encryption": "none"})
    assert_whole(server.run)


def test_folders_of_such_names_do_not_stop_the_others(server: Server) -> None:
    """The gate lets no client make any; somebody else may."""
    make(server, "web01")
    home = server.run.settings.storage / "1"
    for name in (MARK, ".new-x/.lock"):
        (home / name).mkdir(parents=True)
    (server.run.settings.temporary_directory / "left").mkdir()
    with server.run.database.connection_context():
        (told,) = recovery.recover(server.run)
    assert "tmp/left, which a killed process left, was removed" in told


def test_a_repository_is_renamed(server: Server) -> None:
    path = make(server, "web01")
    assert cut_off_everywhere(server, "PUT", lambda step: (path, {"name": f"r{step}"})) >= 5


def test_a_repository_is_restored(server: Server) -> None:
    def restored() -> Any:
        with server.run.database.connection_context():
            (deleted,) = deleted_repositories.oldest_first()
            deleted_repositories.restore(server.run, deleted, deleted_repositories.owner(deleted, None), None)
        return SimpleNamespace(status_code=200, text="")

    server.call("DELETE", make(server, "web01"))
    for fatal in range(1, MOST_STEPS):
        done = not killed_at(server, fatal, restored)
        with server.run.database.connection_context():
            recovery.recover(server.run)
            in_trash = deleted_repositories.oldest_first()
        assert_whole(server.run)
        (repository,) = server.get("/clients/1/repositories")["repositories"] or [None]
        assert (repository is None) == bool(in_trash)
        if done:
            assert fatal > 5
            return
        if repository:
            server.work()
            assert server.call("DELETE", f"/clients/1/repositories/{repository['id']}").status_code == 200
    raise AssertionError("it never succeeded")


@pytest.mark.parametrize("query", ["", "?keep_data=1"])
def test_a_repository_is_deleted(server: Server, query: str) -> None:
    path = make(server, "web01")
    client = path.partition("/repositories/")[0]
    location = server.run.settings.storage / client.rpartition("/")[2]

    def prepare(step: int) -> tuple[str, Any]:
        nonlocal path
        if server.call("GET", path).status_code == 404:
            if query:
                shutil.rmtree(location / "main")
            made = server.post(f"{client}/repositories", {"name": "main", "encryption": "none"})
            path = f"{client}/repositories/{made['id']}"
        return f"{path}{query}", None

    cut_off_everywhere(server, "DELETE", prepare, kept="main" if query else "")


def test_a_client_is_deleted(server: Server, disk: int) -> None:
    path = ""

    def prepare(step: int) -> tuple[str, Any]:
        nonlocal path
        if not path or server.call("GET", path).status_code == 404:
            path = make(server, f"web{step}", storage_location_id=disk).partition("/repositories")[0]
        return path, None

    cut_off_everywhere(server, "DELETE", prepare)
