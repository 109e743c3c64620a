# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that replaces the key in its repository; ``tests/integration/test_gate.py`` does it over SSH."""

from __future__ import annotations

from typing import Any

import pytest

from bbs_server.commands import doctor
from bbs_server.models import Repository

from .backups import borg, create, directory
from .conftest import Server


@pytest.mark.parametrize("nonsense", ["nonsense", "x\r[repository]\rid = 1", "x\r[", "x\rkey", "\ufeff"])
def test_nonsense_in_place_of_a_key_stops_nobody_and_is_put_right(
    server: Server, client: dict[str, Any], nonsense: str
) -> None:
    base = f"/clients/{client['id']}/repositories"
    made = server.post(base, {"name": "main", "passphrase": "on record"})
    folder = directory(server, made)
    create(folder, "kept", "on record")
    server.work()
    before = (folder / "config").read_text()

    (folder / "config").write_text(before.partition("key = ")[0] + f"key = {nonsense}\n")
    other = server.post(base, {"name": "other", "encryption": "none"})
    with server.run.database.connection_context():
        Repository.update(size_is_stale=True).execute()
    server.work()
    assert server.get(f"{base}/{other['id']}")["size_bytes"], "others are looked at all the same"

    with server.run.database.connection_context():
        (problem,) = [found.text for found in doctor.examine(server.run) if "was replaced" in found.text]
        assert str(folder) in problem
        assert any("has the key again" in sentence for sentence in doctor.repair(server.run))
    assert (folder / "config").read_text() == before
    assert borg("list", "--short", str(folder), passphrase="on record") == "kept\n"
