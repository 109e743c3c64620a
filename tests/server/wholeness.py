# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether rows, folders and keys of a server say the same."""

from __future__ import annotations

import re
from pathlib import Path

from bbs_server.db.sqlite import Sqlite
from bbs_server.models import Client, Repository, StorageLocation
from bbs_server.runtime import Runtime
from bbs_server.services import recovery, storage, trash
from bbs_server.services.moves import MARK


def assert_whole(run: Runtime, kept: str = "") -> None:
    """Nothing is half done and nothing left over; ``kept`` is a repository that was deleted without its data."""
    with run.database.connection_context():
        locations = [Path(location.path) for location in StorageLocation.select()]
        clients = {client.id for client in Client.select()}
        places = {storage.repository_directory(repository) for repository in Repository.select()}
        if isinstance(run.database, Sqlite):
            assert run.database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert recovery.recover(run) == []
    assert not list(run.settings.temporary_directory.iterdir())
    homes = {run.settings.storage / str(identifier) for identifier in clients}
    folders = {folder for location in locations for folder in location.glob("*") if folder.name != trash.FOLDER}
    assert homes <= folders
    assert {int(folder.name) for folder in folders} == clients
    found = {item for folder in folders for item in folder.iterdir()}
    assert places <= found
    assert {place.name for place in found - places} <= {kept}
    assert all((place / "config").is_file() for place in places)
    assert not [mark for location in locations for mark in location.rglob(MARK)]
    keys = (run.settings.ssh_directory / "authorized_keys").read_text()
    assert sorted(map(int, re.findall(r"bbs-client-(\d+)$", keys, re.MULTILINE))) == sorted(clients)
