# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guides are true: what they mark as runnable is done here, in order, with one server and real agents."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..database_servers import PASSWORD, mariadb, open_directory
from ..integration.live_server import free_port
from .blocks import blocks, missing
from .desk import Desk, TlsServer
from .paths import CONTENTS, ROOT, links

sys.path.insert(0, str(ROOT / "tests" / "unit"))
sys.path.insert(0, str(ROOT / "tests" / "server"))

from collection_path import provide
from remote_host import remote_host
from s3_storage import BUCKET, REGION, running_storage

provide()

PAGES = [link.path for link in links(CONTENTS) if link.path.suffix == ".md"]
GUIDES = [page for page in PAGES if any(block.mark == "run" for block in blocks(page))]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("guides")
    (folder / "server").mkdir()
    (folder / "desk").mkdir()
    server = TlsServer(folder / "server", free_port(), free_port())
    with (
        remote_host() as offsite,
        running_storage() as bucket,
        open_directory() as place,
        mariadb(place / "mariadb") as (port, sql),
    ):
        sql("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT)")
        server.begin(web_processes=1)
        desk = Desk(
            folder / "desk",
            server,
            {
                "OFFSITE_HOST": "127.0.0.1",
                "OFFSITE_PORT": str(offsite.port),
                "OFFSITE_USER": offsite.user,
                "OFFSITE_PATH": str(offsite.data),
                "BBS_STORAGE": str(server.directory / "repositories"),
                "S3_ENDPOINT": bucket.endpoint,
                "S3_REGION": REGION,
                "S3_BUCKET": BUCKET,
                "AWS_ACCESS_KEY_ID": bucket.access_key,
                "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
            },
            {"database_port": port, "database_user": "backup", "vault_database_password": PASSWORD},
        )
        try:
            desk.furnish()
            (desk.home / ".ssh").mkdir()
            (desk.home / ".ssh" / "offsite").write_text(offsite.key.private)
            yield desk
        finally:
            desk.leave()
            server.end()


@pytest.mark.slow
@pytest.mark.parametrize("guide", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in GUIDES])
def test_what_a_guide_tells_to_do_works(desk: Desk, guide: Path) -> None:
    """Guides build on those before them, so these are read first."""
    for page in GUIDES[: GUIDES.index(guide) + 1]:
        desk.read(page)


@pytest.mark.parametrize(
    ("expected", "printed", "absent"),
    [
        ("a\nc\n", "a\nb\nc\n", []),
        ("c\na\n", "a\nb\nc\n", ["a"]),
        ("job …: completed\n", "x\njob 17:   completed\n", []),
        ("…\nok\n", "not ok\n", ["ok"]),
    ],
)
def test_output_is_compared_line_by_line(expected: str, printed: str, absent: list[str]) -> None:
    assert missing(expected, printed) == absent
