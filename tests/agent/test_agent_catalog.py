# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever becomes of the catalogue's stream: it neither holds up a backup nor leaves anything behind."""

import gc
import json
import threading

import pytest

from bbs_agent import catalog
from bbs_agent.catalog import Catalog


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No thread waits for ever, and no pipe is left open: pytest makes a failure of what gc finds."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before
    gc.collect()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(catalog, "PATIENCE", 1)


def stream(script):
    return Catalog(["sh", "-c", script])


def losses(caplog):
    return [record.getMessage().rpartition(": ")[2] for record in caplog.records]


def test_all_lines_arrive(tmp_path, caplog):
    with stream("cat > {}".format(tmp_path / "lines")) as lines:
        for name in ("a", "b"):
            lines.add("a", name)
        lines.add("x", "excluded")
    assert [json.loads(line)["path"] for line in (tmp_path / "lines").read_text().splitlines()] == ["a", "b"]
    assert losses(caplog) == []


def test_the_connection_breaks(caplog):
    with stream("exec <&-; echo cut off >&2; sleep 300") as lines:
        while not losses(caplog):
            lines.add("A", "a" * 10000)
    assert losses(caplog) == ["[Errno 32] Broken pipe"]


def test_the_server_refuses_it(caplog):
    with stream("cat > /dev/null; echo no catalogue today >&2; exit 1") as lines:
        lines.add("A", "a")
    assert losses(caplog) == ["no catalogue today"]


def test_the_server_stops_reading(monkeypatch, caplog):
    """Found when more is to be added, or at the latest at the end."""
    monkeypatch.setattr(catalog, "WAITING_LINES", 2)
    with stream("sleep 300") as lines:
        for _number in range(100):
            lines.add("A", "a" * 10000)
    assert losses(caplog) == ["it stands still"]


def test_the_server_stops_reading_at_the_very_end(monkeypatch, caplog):
    monkeypatch.setattr(catalog, "WAITING_LINES", 2)
    with stream("sleep 300") as lines:
        lines.add("A", "a" * 100000)
        while not lines._lines.empty():
            pass
        for name in ("b", "c"):
            lines.add("A", name)
    assert losses(caplog) == ["the server does not take its end"]


def test_the_backup_fails(tmp_path, caplog):
    with pytest.raises(RuntimeError), stream("cat > {}; sleep 300".format(tmp_path / "lines")) as lines:
        lines.add("A", "a")
        raise RuntimeError
    assert losses(caplog) == []


def test_there_is_no_ssh(caplog):
    with Catalog(["/no/such/ssh"]) as lines:
        lines.add("A", "a")
    assert losses(caplog) == ["'/no/such/ssh'"]
