# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recordings, replayed once each against a server of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..server.conftest import make_server
from .catalogue import Catalogue
from .compare import Difference
from .recordings import FILES, REAL_AGENT, load, nullable
from .replay import replay
from .world import World

SETTINGS: dict[str, dict[str, Any]] = {REAL_AGENT: {"agent_poll_interval": 5}}
"""What upstream's settings were in a recording, where they matter."""


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, remote_host: Path) -> dict[str, list[Difference]]:
    """The differences found in each file."""
    return {file: _differences(file, tmp_path_factory) for file in FILES}


@pytest.fixture(scope="module")
def remote_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A remote host: an ``ssh`` that runs the command here, and refuses connections to port 2 as in the recordings."""
    folder = tmp_path_factory.mktemp("remote")
    program = folder / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        "port=22\n"
        'while [ "${1#-}" != "$1" ]; do\n'
        "  case $1 in -p) port=$2; shift 2 ;; -i|-o|-F) shift 2 ;; *) shift ;; esac\n"
        "done\n"
        '[ "$port" != 2 ] || { echo "ssh: connect to host $1 port 2: Connection refused" >&2; exit 255; }\n'
        f'shift; cd "{folder}" && exec sh -c "$*"\n'
    )
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield folder


def _differences(file: str, folders: pytest.TempPathFactory) -> list[Difference]:
    folder = folders.mktemp(file.removesuffix(".jsonl"))
    exchanges = load(file)
    with make_server(folder, **SETTINGS.get(file, {})) as server:
        return replay(World(server, Catalogue(exchanges), folder), exchanges, nullable())
