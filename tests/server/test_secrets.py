# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets at rest: what seals them, and what cannot open them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bbs_server.app import create_app
from bbs_server.initialise import initialise
from bbs_server.secrets import Keyring, key_file
from bbs_server.secrets.key_file import SecretError
from bbs_server.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "secret.keys"
    key_file.create(made)
    return made


def test_opens_what_it_sealed_in_the_same_place_only(file: Path) -> None:
    ring = Keyring(file)
    sealed = ring.seal("canary", table="t", column="c", row=1)

    assert "canary" not in sealed
    assert ring.open(sealed, table="t", column="c", row=1) == "canary"
    for place in ({"table": "u"}, {"column": "d"}, {"row": 2}):
        with pytest.raises(SecretError):
            ring.open(sealed, **({"table": "t", "column": "c", "row": 1} | place))  # type: ignore[arg-type]


def test_an_old_key_still_opens_and_the_last_one_seals(file: Path, tmp_path: Path) -> None:
    old = Keyring(file).seal("canary", table="t", column="c", row=1)
    key_file.create(tmp_path / "other")
    file.write_text(file.read_text() + (tmp_path / "other").read_text())
    ring = Keyring(file)

    assert ring.open(old, table="t", column="c", row=1) == "canary"
    assert ring.seal("x", table="t", column="c", row=1).split(":")[0] == file.read_text().splitlines()[1].split(":")[0]


@pytest.mark.parametrize("sealed", ["canary", "", "abcd:!!!", "abcd:AAAA", None])
def test_what_does_not_decrypt_is_never_taken_as_plain_text(file: Path, sealed: str | None) -> None:
    with pytest.raises(SecretError) as refused:
        Keyring(file).open(sealed, table="t", column="c", row=1)
    assert "canary" not in str(refused.value)


def test_the_key_file_is_made_once_and_for_its_owner_only(file: Path) -> None:
    content = file.read_bytes()

    assert file.stat().st_mode & 0o777 == 0o600
    assert key_file.create(file) is False
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", ["", "nonsense", "a:short", "a:" + "A" * 44])
def test_a_broken_key_file_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(SecretError):
        Keyring(file)


def test_no_key_no_start(settings: Settings) -> None:
    initialise(settings)
    settings.key_file.unlink()
    with pytest.raises(SecretError, match="bbs-server init"):
        create_app(settings)


def test_a_key_file_others_can_read_is_refused(settings: Settings) -> None:
    initialise(settings)
    settings.key_file.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        create_app(settings)
