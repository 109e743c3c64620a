# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled server's real application in this process, with a database and storage of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flask import Flask

from bbs_server.app import create_app
from bbs_server.initialise import initialise
from bbs_server.runtime import EXTENSION, Runtime
from bbs_server.services import tokens
from bbs_server.settings import Settings

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

    def writes(self) -> list[tuple[str, str]]:
        return [entry for entry in self.log if entry[0] != "GET"]


class Raw(Answer):
    """An answer whose body is bytes already."""

    def encoded(self) -> bytes:
        return bytes(self.body)
