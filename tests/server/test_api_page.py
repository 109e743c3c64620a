# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/api.md is true: every example answers as it says, every route has one, every write has its dry run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbs_server.borg.keys import generate

from .api_page import Example, examples
from .conftest import Server, reuse_ids, used_ids


class Reader:
    """Somebody who follows the page from its first line."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.agent_key = ""
        self._private_key = generate().private
        self._disk = directory / "second-disk"
        self._disk.mkdir()

    def follow(self, example: Example, *, dry_run: bool = False) -> Any:
        secret = {"token": self.server.token, "agent key": self.agent_key, None: None}[example.who]
        path = example.path + (("&" if "?" in example.path else "?") + "dry_run=1" if dry_run else "")
        reply = self.server.http.open(
            path,
            method=example.method,
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            json=self._own(example.body),
        )
        if not dry_run and reply.data and reply.is_json and isinstance(reply.json, dict):
            self.agent_key = reply.json.get("api_key") or self.agent_key
        return reply

    def _own(self, body: Any) -> Any:
        replaced = {"/srv/second-disk": str(self._disk), "SSH-PRIVATE-KEY": self._private_key}
        if isinstance(body, dict):
            return {
                name: replaced.get(value, value) if isinstance(value, str) else value for name, value in body.items()
            }
        return body


@pytest.fixture
def reader(server: Server, tmp_path: Path) -> Reader:
    server.work()
    return Reader(server, tmp_path)


def test_every_example_answers_as_it_says(reader: Reader) -> None:
    for example in examples():
        reply = reader.follow(example)
        assert reply.status_code == example.status, (example.title, reply.text)
        if example.reply is not None:
            assert shape(reply.json) == shape(example.reply), example.title


def test_every_write_can_be_rehearsed(reader: Reader) -> None:
    for example in examples():
        if example.is_write:
            before = snapshot(reader.server)
            ids = used_ids(reader.server)
            rehearsal = reader.follow(example, dry_run=True)
            reuse_ids(reader.server, ids)
            assert rehearsal.status_code == 200, (example.title, rehearsal.text)
            assert sorted(rehearsal.json) == ["changed", "fields"], example.title
            assert snapshot(reader.server) == before, example.title
            assert_no_values(example, rehearsal.json)
        assert reader.follow(example).status_code == example.status, example.title


def test_every_route_has_an_example(server: Server) -> None:
    adapter = server.app.url_map.bind("bbs.example")
    shown = {(adapter.match(one.path.split("?")[0], one.method)[0]) for one in examples()}
    unshown = {rule.endpoint for rule in server.app.url_map.iter_rules()} - shown
    assert unshown == set()


def shape(value: Any) -> Any:
    """Names and types; a number is a number, and a list has the shape of its first entry."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def snapshot(server: Server) -> tuple[list[str], list[str]]:
    """All rows and all files, but for what noting a request's token changes."""
    with server.run.database.connection_context():
        rows = [
            f"{table}: {row}"
            for table in sorted(server.run.database.get_tables())
            if table != "tokens"
            for row in server.run.database.execute_sql(f'SELECT * FROM "{table}" ORDER BY 1').fetchall()
        ]
    return rows, sorted(_files(server.run.settings.directory))


def _files(directory: Path) -> Iterator[str]:
    for file in directory.rglob("*"):
        if file.is_file() and "bbs.sqlite" not in file.name:
            yield f"{file} {file.read_bytes()!r}"
        elif file.is_dir():
            yield str(file)


def assert_no_values(example: Example, told: dict[str, Any]) -> None:
    names = set(re.findall(r'"(\w+)":', str(example.body).replace("'", '"')))
    assert all(field.split(".")[0] in names or field.isidentifier() for field in told["fields"]), example.title
