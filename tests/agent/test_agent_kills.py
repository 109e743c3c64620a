# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL in mid-backup, for the agent and for sshd; replies that are lost. Afterwards all is well again."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from agent_lab import OLDEST, AgentProcess, wait_until

from bbs_agent.orphans import Orphans
from bbs_agent.state import PidFile


def is_at_work(pid):
    """Whether the process runs; one that has ended may stay listed until its new parent looks."""
    try:
        with open("/proc/{}/stat".format(pid)) as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_is_well(bbs, repository, data):
    """The next backup succeeds without anybody breaking a lock, and the repository is sound."""
    shutil.rmtree(str(data / "much"))
    bbs.tasks.append(repository.backup(2, data))
    # With a lock in its way, borg would wait longer than this: it looks again after a minute.
    report = bbs.wait_for_status(2)
    assert report["result"] == "completed" and "had_warnings" not in report, report
    assert repository.archives() == ["plan1-2"]
    repository.borg("check", str(repository.path))
    assert not (repository.path / "lock.exclusive").exists()


@pytest.mark.slow
def test_the_agent_is_killed(zipapp, installation, bbs, repository, much_data, prefix, sshd):
    """Its borg goes on alone; the next agent ends it, removes the key it worked with, and reports the job."""
    bbs.poll_interval = 1
    unfinished, private = prefix / "etc/bbs-agent/.config.ini.x", prefix / "var/lib/bbs-agent/private"
    unfinished.write_text("half a k")
    os.utime(str(unfinished), (0, 0))
    agent = AgentProcess(OLDEST, zipapp, installation.config_path)
    agent("start")
    try:
        bbs.tasks = [dict(repository.slow_backup(1, much_data), remote_ssh_key=sshd.private_key)]
        bbs.wait(bbs.in_full_swing)
        borg = json.loads((prefix / "var/lib/bbs-agent/child.json").read_text())["pid"]
        os.kill(int((prefix / "run/bbs-agent.pid").read_text()), signal.SIGKILL)
        wait_until(lambda: PidFile(str(prefix / "run/bbs-agent.pid")).owner() is None)
        assert is_at_work(borg)
        assert bbs.bodies("status") == []
        assert [key.name for key in private.rglob("*") if key.is_file()] == ["key"]

        assert agent("start").returncode == 0
        report = bbs.wait_for_status(1)
        assert report["result"] == "abandoned" and "the agent ended while this job was running" in report["error_log"]
        assert not is_at_work(borg)
        assert not private.exists() and not unfinished.exists()
        all_is_well(bbs, repository, much_data)
    finally:
        agent("stop")
    assert not (prefix / "var/lib/bbs-agent/child.json").exists()


def test_borg_is_killed(installation, bbs, repository, much_data, prefix):
    """As by the kernel when memory is short: it leaves the lock of its cache."""
    bbs.tasks = [repository.slow_backup(1, much_data)]
    installation.start()
    bbs.wait(bbs.in_full_swing)
    os.kill(json.loads((prefix / "var/lib/bbs-agent/child.json").read_text())["pid"], signal.SIGKILL)
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed" and "Borg was killed" in report["error_log"], report
    assert list((prefix / "var/lib/bbs-agent/borg").rglob("lock.exclusive"))
    all_is_well(bbs, repository, much_data)
    assert not list((prefix / "var/lib/bbs-agent/borg").rglob("lock.exclusive"))


def test_sshd_is_killed(installation, bbs, repository, much_data, sshd):
    bbs.tasks = [repository.slow_backup(1, much_data)]
    installation.start()
    bbs.wait(bbs.in_full_swing)
    sshd.kill()
    try:
        report = bbs.wait_for_status(1)
        assert report["result"] == "failed", report
        assert report["error_log"].startswith("The connection to the repository was lost.\nssh to "), report
        assert "BrokenPipeError" not in report["error_log"] and "Local Exception" not in report["error_log"]
    finally:
        sshd.start()
    all_is_well(bbs, repository, much_data)


@pytest.mark.parametrize("endpoint", ["ssh-key", "tasks", "progress", "status"])
def test_a_reply_is_lost(installation, bbs, data, endpoint, account):
    """The server has acted on the request, the agent cannot know: it asks again, and runs nothing twice."""
    bbs.lost_replies = {endpoint}
    bbs.tasks = [{"task": "list_dir", "job_id": 1, "path": str(data)}]
    installation.start()
    bbs.wait(lambda: not bbs.lost_replies and bbs.bodies("status"))
    count = len(bbs.bodies("tasks"))
    bbs.wait(lambda: len(bbs.bodies("tasks")) > count + 1)
    assert {report["result"] for report in bbs.bodies("status")} == {"completed"}
    assert len(bbs.bodies("status")) == (2 if endpoint == "status" else 1)
    starts = [body for body in bbs.bodies("progress") if body.get("status_message") == "Starting task..."]
    assert len(starts) == 1


def test_a_number_that_another_process_has_got_is_left_alone(tmp_path):
    path = tmp_path / "child.json"
    other = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        orphans = Orphans(str(path))
        orphans.note(other.pid)
        note = json.loads(path.read_text())
        path.write_text(json.dumps(dict(note, started="1")))
        orphans.end(5)
        assert other.poll() is None and not path.exists()
        path.write_text(json.dumps(note))
        orphans.end(5)
        assert other.wait(10) == -signal.SIGTERM
    finally:
        other.kill()
        other.wait()
