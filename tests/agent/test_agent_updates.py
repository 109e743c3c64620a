# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent replaces itself, or stays what it was; borg is updated."""

import os
import shutil
import sys
import zipfile

import pytest
from agent_lab import OLDEST, AgentProcess
from fake_bbs import build_zipapp

from bbs_agent import VERSION
from bbs_agent.config import Layout
from bbs_agent.files import read_json, write_json
from bbs_agent.probation import MOST_STARTS, OLD, Probation

NEWER = {"init": ('VERSION = "{}"'.format(VERSION), 'VERSION = "9.9.9"')}
UPDATE = {"task": "update_agent", "job_id": 4}


@pytest.fixture
def agent(zipapp, installation, bbs, prefix, monkeypatch):
    """A started agent for the oldest Python, in a file of its own that it may replace."""
    monkeypatch.setenv("BBS_AUTO_UPDATE", "1")
    bbs.poll_interval = 1
    own = prefix / "opt" / "bbs-agent" / "bbs-agent.pyz"
    own.parent.mkdir(parents=True)
    shutil.copyfile(zipapp, str(own))
    found = AgentProcess(OLDEST, str(own), installation.config_path)
    found.zipapp = own
    found("start")
    yield found
    found("stop")


def pid_of(prefix):
    return (prefix / "run" / "bbs-agent.pid").read_text()


def beside(agent):
    return sorted(path.name for path in agent.zipapp.parent.iterdir())


def versions(bbs):
    return [body["agent_version"] for body in bbs.bodies("register")]


def test_the_agent_becomes_the_new_one(agent, bbs, prefix):
    newer = build_zipapp(**NEWER)
    bbs.offer_agent(newer)
    bbs.wait(lambda: bbs.bodies("tasks"))
    pid = pid_of(prefix)
    bbs.tasks = [UPDATE]
    report = bbs.wait_for_status(4)
    assert report["result"] == "completed", report
    assert report["output_log"] == "Updated the agent from {} to 9.9.9.".format(VERSION)
    # The report is the new one's own word.
    assert versions(bbs) == [VERSION, "9.9.9"] and pid_of(prefix) == pid
    assert agent.zipapp.read_bytes() == newer and beside(agent) == ["bbs-agent.pyz"]
    bbs.tasks.append(dict(UPDATE, job_id=5))
    assert bbs.wait_for_status(5)["output_log"] == "The agent is up to date (version 9.9.9)."
    assert versions(bbs) == [VERSION, "9.9.9"]


def test_an_agent_that_does_not_start_is_never_put_in_place(agent, bbs):
    before = agent.zipapp.read_bytes()
    bbs.offer_agent(build_zipapp(api=("import http.client", "import no_such_module")))
    bbs.tasks = [UPDATE]
    report = bbs.wait_for_status(4)
    assert report["result"] == "failed"
    assert "does not work here, the old one stays: " in report["error_log"] and "no_such_module" in report["error_log"]
    assert agent.zipapp.read_bytes() == before and beside(agent) == ["bbs-agent.pyz"]


def test_an_agent_that_falls_over_afterwards_gives_way_to_the_old_one(agent, bbs, prefix):
    before = agent.zipapp.read_bytes()
    bbs.offer_agent(build_zipapp(loop=('        LOG.info("BBS agent %s for', '        1 / 0  # "')))
    bbs.wait(lambda: bbs.bodies("tasks"))
    pid = pid_of(prefix)
    bbs.tasks = [UPDATE]
    report = bbs.wait_for_status(4)
    assert report["result"] == "failed" and "the old one runs again" in report["error_log"], report
    assert agent.zipapp.read_bytes() == before and beside(agent) == ["bbs-agent.pyz"]
    assert versions(bbs) == [VERSION, VERSION] and pid_of(prefix) == pid
    assert "ZeroDivisionError" in (prefix / "var/log/bbs-agent.log").read_text()


@pytest.mark.parametrize(
    "offer, words",
    [
        ({}, "The server offers no bbs-agent.pyz: "),
        ({"bbs-agent.pyz.sha256": b"<html>"}, "sent no digest"),
        (
            {"bbs-agent.pyz.sha256": b"a" * 64 + b"  bbs-agent.pyz\n", "bbs-agent.pyz": b"other"},
            "does not have the digest",
        ),
    ],
)
def test_what_is_no_agent_is_not_even_tried(installation, bbs, offer, words, tmp_path, monkeypatch):
    """An upstream server has no bbs-agent.pyz."""
    own = tmp_path / "bbs-agent.pyz"
    own.write_bytes(b"mine")
    monkeypatch.setattr(sys.modules["bbs_agent.tasks.update_agent"], "own_zipapp", lambda: str(own))
    bbs.downloads = offer
    bbs.tasks = [UPDATE]
    installation.start(auto_update=True)
    report = bbs.wait_for_status(4)
    assert report["result"] == "failed" and words in report["error_log"]
    assert [path.name for path in tmp_path.glob("bbs-agent*")] == ["bbs-agent.pyz"]


@pytest.mark.parametrize("auto_update, words", [(False, "switched off"), (True, "not run from one file")])
def test_when_it_may_not_or_cannot(installation, bbs, auto_update, words):
    bbs.tasks = [UPDATE]
    installation.start(auto_update=auto_update)
    report = bbs.wait_for_status(4)
    assert report["result"] == "failed" and words in report["error_log"]


def test_an_agent_that_dies_at_every_start_is_given_up(tmp_path):
    """Killed or crashed hard, it cannot take itself back; its service manager starts it again and again."""
    layout = Layout.beside(str(tmp_path / "etc/bbs-agent/config.ini"), {})
    write_json(
        layout.journal, {"owner": "x", "job_id": 4, "attempt": 3, "report": {"job_id": 4, "result": "completed"}}
    )
    zipapp, new = tmp_path / "agent", tmp_path / "new"
    zipapp.write_text("old")
    new.write_text("new")
    Probation(layout).replace(str(zipapp), str(new), "9.9.9")
    # Stopped on purpose is no failure.
    for _start in range(MOST_STARTS + 1):
        assert Probation(layout).begins() is False
        Probation(layout).paused()
    for _start in range(MOST_STARTS):
        assert Probation(layout).begins() is False
    assert zipapp.read_text() == "new"
    assert Probation(layout).begins() is True
    assert zipapp.read_text() == "old" and not os.path.exists(str(zipapp) + OLD)
    journal = read_json(layout.journal)
    assert journal["owner"] == "x"
    assert (journal["report"]["result"], journal["report"]["attempt"]) == ("failed", 3)
    assert Probation(layout).begins() is Probation(layout).failed() is False


# borg ---------------------------------------------------------------------------------------


@pytest.fixture
def borg_task(tmp_path):
    """A function that makes an `update_borg` task for a borg below tmp_path."""
    place = tmp_path / "bin" / "borg"
    place.parent.mkdir()

    def make(**more):
        task = {"task": "update_borg", "job_id": 6, "target_version": "9.9.9", "download_url": None}
        task.update(install_method="binary", binary_path=str(place), fallback_to_pip=False, source="official")
        return dict(task, **more)

    make.path = place
    return make


def updated(installation, bbs, task):
    bbs.tasks = [task]
    installation.start()
    return bbs.wait_for_status(6, timeout=120)


def test_a_borg_binary_of_the_server(installation, bbs, borg_task, prefix):
    bbs.overrides["/borg/9.9.9/borg-linux"] = lambda _body: (200, b"#!/bin/sh\necho borg 9.9.9\n")
    report = updated(installation, bbs, borg_task(download_url="/borg/9.9.9/borg-linux", source="server"))
    assert report["result"] == "completed" and report["output_log"].startswith("Installed borg 9.9.9 at "), report
    assert borg_task.path.stat().st_mode & 0o777 == 0o755
    assert bbs.bodies("info")[0]["borg_source"] == "server"
    assert (prefix / "etc/bbs-agent/borg_source").read_text() == "server"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"#!/bin/sh\necho borg 8.8.8\n", "has the version 8.8.8, not 9.9.9"),
        (b"\x7fELF", "does not start"),
        (None, "HTTP 404"),
    ],
)
def test_a_binary_that_is_not_right_changes_nothing(installation, bbs, borg_task, content, words):
    borg_task.path.write_text("the old one")
    bbs.overrides["/borg/x"] = lambda _body: (404, b"Not found") if content is None else (200, content)
    report = updated(installation, bbs, borg_task(download_url=bbs.url + "/borg/x"))
    assert report["result"] == "failed" and words in report["error_log"]
    assert borg_task.path.read_text() == "the old one" and len(list(borg_task.path.parent.iterdir())) == 1


def test_pip_comes_after_a_binary_that_does_not_work(installation, bbs, borg_task, tmp_path, monkeypatch):
    """Real venv, real pip; the wheel is a stand-in, since borg itself would have to be compiled."""
    wheel = tmp_path / "wheels" / "borgbackup-9.9.9-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(str(wheel), "w") as archive:
        about = "borgbackup-9.9.9.dist-info/"
        archive.writestr("stand_in.py", "def main():\n    print('borg 9.9.9')\n")
        archive.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: borgbackup\nVersion: 9.9.9\n")
        archive.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(about + "entry_points.txt", "[console_scripts]\nborg = stand_in:main\n")
        archive.writestr(about + "RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setattr(sys, "executable", os.path.realpath(sys.executable))
    report = updated(installation, bbs, borg_task(fallback_to_pip=True))
    assert report["result"] == "completed", report
    assert "Installed borg 9.9.9" in report["output_log"]
    assert borg_task.path.is_symlink()
    assert any("pip is tried" in body.get("log_message", "") for body in bbs.bodies("progress"))


@pytest.mark.parametrize(
    "more, result, words",
    [
        ({"install_method": "skip"}, "completed", "Nothing to do"),
        ({"install_method": "magic"}, "failed", "install_method 'magic'"),
        ({}, "failed", "named no download_url"),
        ({"download_url": "http://elsewhere.example/borg"}, "failed", "not an https address"),
        ({"download_url": "/x", "binary_path": "/no/such/place/borg"}, "failed", "No such file or directory"),
    ],
)
def test_other_ways_to_update_borg(installation, bbs, borg_task, more, result, words):
    report = updated(installation, bbs, borg_task(**more))
    assert report["result"] == result and words in report.get("output_log", "") + report.get("error_log", "")
