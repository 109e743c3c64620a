# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""On which database the server runs in the tests: ``pytest --database postgresql``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="database of the servers that the tests start; postgresql starts a private cluster",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: begun last, one of them would keep a single process busy at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def server_databases(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give every server in this process a database of the kind asked for."""
    if request.config.getoption("--database") == "sqlite":
        yield
        return
    from .server_databases import on_postgresql

    with on_postgresql():
        yield
