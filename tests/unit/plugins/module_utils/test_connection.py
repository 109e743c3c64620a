# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the server is, and which token counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.borgfleet.bbs.plugins.module_utils._connection import CONNECTION_OPTIONS, Connection
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import InvalidOption


def connect(given: str = "", **options: Any) -> Connection:
    defaults = {name: spec.get("default") for name, spec in CONNECTION_OPTIONS.items()}
    return Connection.from_options({**defaults, "url": "http://x", "token": "t", **options}, given.split())


@pytest.mark.parametrize("url", ["http://x", "http://x/", "http://x/api/v1", " http://x/api/v1/ "])
def test_url(url: str) -> None:
    assert connect(url=url).url == "http://x"


@pytest.mark.parametrize(("url", "reason"), [(None, "Which server"), ("", "Which server"), ("x:80", "http://")])
def test_wrong_url(url: str | None, reason: str) -> None:
    with pytest.raises(InvalidOption, match=reason):
        connect(url=url)


def test_a_password_in_the_url() -> None:
    with pytest.raises(InvalidOption, match="url must not hold a user or a password") as caught:
        connect(url="https://me:canary@bbs.example")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"timeout": 0}, "timeout must be at least 1 second."), ({"retries": -1}, "retries must not be negative.")],
)
def test_impossible_numbers(options: dict[str, int], reason: str) -> None:
    with pytest.raises(InvalidOption, match=reason):
        connect(**options)


def test_token_precedence(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert connect(token=None, token_file=str(file)).token == "from-file"
    assert connect(token="both", token_file=str(file)).token == "both"
    assert connect("token_file", token="environment", token_file=str(file)).token == "from-file"
    assert connect("token token_file", token="task", token_file=str(file)).token == "task"


def test_no_token() -> None:
    with pytest.raises(InvalidOption, match="No API token"):
        connect(token=None)


def test_unusable_token_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="No such file"):
        connect(token=None, token_file=str(tmp_path / "gone"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidOption, match="is empty"):
        connect(token=None, token_file=str(tmp_path / "empty"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidOption, match="not text"):
        connect(token=None, token_file=str(tmp_path / "binary"))


@pytest.mark.parametrize("token", ["two words", "two\nlines", "tökën"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(InvalidOption, match="is not a token") as caught:
        connect(token=token)
    assert token not in str(caught.value)


def test_tls(tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.write_text("")
    path = str(file)
    assert connect().verify is True
    assert connect(ca_path=path).verify == path
    assert connect(ca_path=path, validate_certs=False).verify is False
    assert connect(client_cert=path).cert == path
    assert connect(client_cert=path, client_key=path).cert == (path, path)
    with pytest.raises(InvalidOption, match="set client_cert as well"):
        connect(client_key=path)
    with pytest.raises(InvalidOption, match="ca_path: there is no file"):
        connect(ca_path=str(tmp_path / "gone"))
