# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recordings, replayed once each against a server of their own."""

from __future__ import annotations

import pytest

from ..server.conftest import make_server
from .catalogue import Catalogue
from .compare import Difference
from .recordings import FILES, load, nullable
from .replay import replay
from .world import World


@pytest.fixture(scope="session")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Difference]]:
    """The differences found in each file."""
    return {file: _differences(file, tmp_path_factory) for file in FILES}


def _differences(file: str, folders: pytest.TempPathFactory) -> list[Difference]:
    folder = folders.mktemp(file.removesuffix(".jsonl"))
    exchanges = load(file)
    with make_server(folder) as server:
        return replay(World(server, Catalogue(exchanges), folder), exchanges, nullable())
