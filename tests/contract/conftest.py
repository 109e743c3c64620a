# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the contract tests: modules run in this process, against a server in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

from collection_path import provide

provide()

from .harness import Harness, upstream_transport  # noqa: E402  the collection has to be importable first
from .upstream import NEW, OLD, Upstream  # noqa: E402


@pytest.fixture(params=["worker", "module"])
def way(request: pytest.FixtureRequest) -> str:
    """Where a task runs: in the controller's worker, or as an ordinary module."""
    return str(request.param)


@pytest.fixture(params=[NEW, OLD])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def upstream(version: str) -> Upstream:
    return Upstream(version)


@pytest.fixture
def bbs(upstream: Upstream, way: str, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Runs modules against the small upstream server."""
    return Harness(way, upstream_transport(upstream), upstream.token, monkeypatch)


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """The bundled server."""
    pytest.importorskip("bbs_server", reason="the server package is not installed")
    from .bundled import Bundled

    return Bundled(tmp_path / "server")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A bundled server that a module's tests share, with everything that options can refer to."""
    pytest.importorskip("bbs_server", reason="the server package is not installed")
    from .bundled import Bundled, populate

    folder = tmp_path_factory.mktemp("world")
    server = Bundled(folder / "server")
    with populate(server, folder):
        yield server


@pytest.fixture
def land(world: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Runs modules against the shared server."""
    return Harness(way, world.send, world.token, monkeypatch)


@pytest.fixture
def fleet(server: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Runs modules against the bundled server."""
    return Harness(way, server.send, server.token, monkeypatch)
