# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled server's real application in this process, with a database and storage of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from remote_host import remote_host

from bbs_server.app import create_app
from bbs_server.initialise import initialise
from bbs_server.models import Archive, Repository
from bbs_server.runtime import EXTENSION, Runtime
from bbs_server.services import tokens
from bbs_server.settings import Settings

from .declared import HOST
from .upstream import Answer


class Bundled:
    """One server.

    :param directory: where it keeps everything
    """

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(directory=directory)
        initialise(self.settings)
        self.app: Flask = create_app(self.settings)
        self.token = self.mint("tests")
        self.log: list[tuple[str, str]] = []

    def mint(self, name: str, scope: str = "admin") -> str:
        run: Runtime = self.app.extensions[EXTENSION]
        with run.database.connection_context():
            return tokens.create(run, tokens.administrator(), name, scope=scope)[1]

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.log.append((method, path))
        with self.app.test_client() as client:
            reply = client.open(path, method=method, headers=dict(headers), data=body or None)
            return Raw(reply.status_code, reply.get_data(), reply.content_type or "")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the tests themselves, which has to work."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        content = b"" if body is None else json.dumps(body).encode()
        answer = self.send(method, f"/api/v1{path}", headers, content)
        assert answer.status < 300, answer.encoded()
        return json.loads(answer.encoded() or b"null")

    def add_archive(self, repository: str, name: str) -> None:
        """Record what a backup would have left in a repository."""
        run: Runtime = self.app.extensions[EXTENSION]
        with run.database.connection_context():
            Archive.create(repository=Repository.get(name=repository), name=name, created_at=run.clock())

    def remove_archives(self) -> None:
        with self.app.extensions[EXTENSION].database.connection_context():
            Archive.delete().execute()

    def writes(self) -> list[tuple[str, str]]:
        return [entry for entry in self.log if entry[0] != "GET"]


class Raw(Answer):
    """An answer whose body is bytes already."""

    def encoded(self) -> bytes:
        return bytes(self.body)


@contextmanager
def populate(server: Bundled, folder: Path) -> Iterator[None]:
    """Make what the cases of declared.py refer to; the third party's SSH server runs meanwhile."""
    with remote_host() as host:
        second = folder / "second"
        second.mkdir()
        server.call("POST", "/storage", {"label": "Second disk", "path": str(second)})
        for name in ("offsite", "elsewhere"):
            base = str(host.place(name))
            server.call("POST", "/remote-ssh-configs", host.config(name=name, remote_base_path=base))
        client = f"/clients/{server.call('POST', '/clients', {'name': HOST})['id']}"
        for name in ("main", "second"):
            server.call("POST", f"{client}/repositories", {"name": name, "encryption": "none"})
        for plugin, name, config in (("shell_hook", "hooks", {}), ("mysql_dump", "db", {"password": "x"})):
            server.call("POST", f"{client}/plugin-configs", {"plugin": plugin, "name": name, "config": config})
        yield
