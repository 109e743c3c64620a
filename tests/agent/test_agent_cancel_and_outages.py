# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong in mid-job: cancelled, stopped, the server away, jobs delivered twice."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from agent_lab import Installation, hook, wait_until

from ..database_servers import config_for
from ..much_data import fill


def slow_hook(tmp_path, marker="started"):
    """A hook that says it runs and then takes longer than any test."""
    return hook(tmp_path / "slow.sh", "touch {}; sleep 300 & wait\n".format(tmp_path / marker))


def appears(path):
    return lambda: path.exists()


def test_cancel_in_mid_backup(installation, bbs, repository, much_data, tmp_path):
    task = repository.slow_backup(1, much_data)
    post = hook(tmp_path / "post.sh", 'echo "$BBS_BACKUP_STATUS" > {}\n'.format(tmp_path / "status"))
    task["plugins"] = [{"slug": "shell_hook", "config": {"post_script": post}}]
    bbs.tasks = [task]
    installation.start()
    bbs.wait(bbs.in_full_swing)
    bbs.cancelled.add(1)
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed"
    assert "cancelled" in report["error_log"]
    wait_until(appears(tmp_path / "status"))
    assert (tmp_path / "status").read_text().strip() == "failed"
    # The repository is free again: the next backup needs no break-lock.
    shutil.rmtree(str(much_data / "much"))
    bbs.tasks.append(repository.backup(2, much_data))
    assert bbs.wait_for_status(2)["result"] == "completed"
    assert "plan1-1" not in repository.archives()


@pytest.mark.parametrize("way", ["progress", "heartbeat"])
def test_cancel_reaches_a_hook(installation, bbs, repository, data, tmp_path, way):
    task = repository.backup(1, data)
    task["plugins"] = [{"slug": "shell_hook", "config": {"pre_script": slow_hook(tmp_path)}}]
    bbs.tasks = [task]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    if way == "progress":
        bbs.cancelled.add(1)
    else:
        bbs.heartbeat_extra = {"cancel_job": 1}
    report = bbs.wait_for_status(1)
    assert (report["result"], report["error_log"]) == ("failed", "cancelled")
    assert repository.archives() == []


def test_cancel_reaches_a_restore(installation, bbs, repository, data, tmp_path):
    fill(data / "much", 100_000_000)
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    assert bbs.wait_for_status(1)["result"] == "completed"
    bbs.tasks.append(repository.restore(2, "plan1-1", tmp_path / "r", data))
    restored = tmp_path / "r" / str(data)[1:] / "much"
    wait_until(appears(restored))
    bbs.cancelled.add(2)
    report = bbs.wait_for_status(2)
    assert (report["result"], report["error_log"]) == ("failed", "cancelled")


def test_cancel_reaches_a_dump(installation, bbs, tools, tmp_path):
    tools("psql", "echo shop\n")
    tools("pg_dump", "touch {}; sleep 300 & wait\n".format(tmp_path / "started"))
    config = config_for(1, tmp_path / "dumps")
    bbs.tasks = [{"task": "backup", "job_id": 1, "plugins": [{"slug": "pg_dump", "config": config}]}]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    bbs.cancelled.add(1)
    report = bbs.wait_for_status(1)
    assert (report["result"], report["error_log"]) == ("failed", "cancelled")
    assert list((tmp_path / "dumps").iterdir()) == []


def test_cancel_reaches_the_restore_of_a_database(installation, bbs, tools, tmp_path, monkeypatch):
    """What was loaded so far is dropped again, although the job is cancelled."""
    tools("borg", "mkdir -p x; echo 'SELECT 1;' > x/shop.sql\n")
    monkeypatch.setattr("bbs_agent.borg.find_borg", lambda: str(tmp_path / "tools" / "borg"))
    slow = 'case "$*" in *--command*) ;; *) touch {}; sleep 300 & wait ;; esac\n'.format(tmp_path / "started")
    tools("psql", slow)
    task = {"task": "restore_pg", "job_id": 1, "command": ["borg", "extract", "r::a"], "env": {}, "cwd": "/"}
    task["pg_config"] = config_for(1, tmp_path / "dumps")
    bbs.tasks = [dict(task, databases=[{"database": "shop", "mode": "replace"}])]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    bbs.cancelled.add(1)
    report = bbs.wait_for_status(1)
    assert (report["result"], report["error_log"]) == ("failed", "cancelled")
    assert (tmp_path / "arguments").read_text().splitlines()[-1].endswith("DROP DATABASE IF EXISTS bbs_restore_1")
    assert not (tmp_path / "dumps").exists()


def test_cancel_reaches_a_deferred_post_script(installation, bbs, tmp_path):
    plugin = {"slug": "shell_hook", "config": {"post_script": slow_hook(tmp_path)}}
    bbs.tasks = [{"task": "plugin_post", "job_id": 1, "plugin": plugin}]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    bbs.cancelled.add(1)
    report = bbs.wait_for_status(1)
    assert (report["result"], report["error_log"]) == ("failed", "cancelled")


def test_stopping_the_agent_ends_a_post_script(installation, bbs, tmp_path):
    """The server has the report by then, so only this and its own timeout end it."""
    plugin = {"slug": "shell_hook", "config": {"post_script": slow_hook(tmp_path)}}
    bbs.tasks = [{"task": "backup", "job_id": 1, "plugins": [plugin]}]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    bbs.cancelled.add(1)
    count = len(bbs.bodies("heartbeat"))
    bbs.wait(lambda: len(bbs.bodies("heartbeat")) > count + 2)
    assert (tmp_path / "started").exists() and installation.agent._job is not None
    installation.stop()
    assert len(bbs.bodies("status")) == 1


def test_a_stalled_job_is_stopped(installation, bbs, repository, data, tmp_path):
    """The heartbeat's check_jobs names the running job: it is ended; another one is abandoned."""
    task = repository.backup(1, data)
    task["plugins"] = [{"slug": "shell_hook", "config": {"pre_script": slow_hook(tmp_path)}}]
    bbs.tasks = [task]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    bbs.heartbeat_extra = {"check_jobs": [1, 77]}
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed" and "no progress" in report["error_log"]
    assert bbs.wait_for_status(77)["result"] == "abandoned"


def test_stopping_the_agent_ends_the_job(installation, bbs, repository, data, tmp_path):
    task = repository.backup(1, data)
    task["plugins"] = [{"slug": "shell_hook", "config": {"pre_script": slow_hook(tmp_path)}}]
    bbs.tasks = [task]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    installation.stop()
    report = bbs.wait_for_status(1)
    # Not "failed": the server tries it again when the machine is back.
    assert (report["result"], report["error_log"]) == ("abandoned", "agent stopped")


def test_the_server_is_away_during_a_backup(installation, bbs, repository, data, tmp_path):
    gate = tmp_path / "go on"
    script = hook(
        tmp_path / "wait.sh",
        'touch {}; while [ ! -e "{}" ]; do sleep 0.05; done\n'.format(tmp_path / "started", gate),
    )
    post = hook(tmp_path / "post.sh", "touch {}\n".format(tmp_path / "post"))
    task = repository.backup(1, data)
    task["plugins"] = [{"slug": "shell_hook", "config": {"pre_script": script, "post_script": post}}]
    bbs.tasks = [task]
    installation.start()
    wait_until(appears(tmp_path / "started"))
    bbs.down.set()
    gate.touch()
    # The post script does not wait for the server: it may be what starts the database again.
    wait_until(appears(tmp_path / "post"))
    assert bbs.bodies("status") == []
    journal = json.loads((installation.prefix / "var/lib/bbs-agent/journal.json").read_text())
    assert journal["report"]["result"] == "completed"
    bbs.down.clear()
    report = bbs.wait_for_status(1)
    assert report["result"] == "completed"
    assert repository.archives() == ["plan1-1"]
    wait_until(lambda: not (installation.prefix / "var/lib/bbs-agent/journal.json").exists())


def test_a_report_outlives_the_agent(installation, bbs, repository, data, prefix):
    """Stopped while the server refuses the report; the next agent delivers it first."""
    bbs.overrides["/api/agent/status"] = lambda _body: (503, {"error": "maintenance"})
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    bbs.wait(lambda: bbs.bodies("status"))
    installation.stop()
    bbs.overrides.clear()
    bbs.requests.clear()
    installation.start()
    assert bbs.wait_for_status(1)["result"] == "completed"
    assert len(bbs.bodies("status")) == 1
    bbs.wait(lambda: len(bbs.bodies("tasks")) > 2)
    assert repository.archives() == ["plan1-1"]


def test_a_killed_agent_reports_its_job_at_the_next_start(installation, bbs, prefix):
    installation.start()
    bbs.wait(lambda: bbs.bodies("tasks"))
    installation.agent._reports.begin({"job_id": 5, "attempt": 2})
    journal = (prefix / "var/lib/bbs-agent/journal.json").read_text()
    installation.stop()
    (prefix / "var/lib/bbs-agent/journal.json").write_text(journal)
    installation.start()
    report = bbs.wait_for_status(5)
    assert report["result"] == "abandoned" and "agent stopped" in report["error_log"]


def test_a_journal_of_another_server_is_thrown_away(installation, bbs, prefix):
    path = prefix / "var/lib/bbs-agent/journal.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"owner": "somebody else", "job_id": 5, "report": None}))
    installation.start()
    bbs.wait(lambda: bbs.bodies("tasks"))
    assert bbs.bodies("status") == [] and not path.exists()


def test_a_job_delivered_again_is_reported_again_but_not_run(installation, bbs, tmp_path):
    count = tmp_path / "count"
    script = hook(tmp_path / "once.sh", "echo x >> {}\n".format(count))
    bbs.deliver_always = True
    bbs.tasks = [
        {
            "task": "plugin_test",
            "job_id": 3,
            "plugin": {"slug": "shell_hook", "config": {"pre_script": script}},
        }
    ]
    installation.start()
    bbs.wait(lambda: len(bbs.bodies("status")) >= 3)
    first, second = bbs.bodies("status")[:2]
    assert first == second and first["result"] == "completed"
    assert count.read_text() == "x\n"


def test_the_next_attempt_at_a_job_is_run_and_named(installation, bbs, tmp_path):
    count = tmp_path / "count"
    script = hook(tmp_path / "once.sh", "echo x >> {}\n".format(count))
    task = {"task": "plugin_test", "job_id": 3, "plugin": {"slug": "shell_hook", "config": {"pre_script": script}}}
    bbs.deliver_always = True
    bbs.tasks = [dict(task, attempt=1), dict(task, attempt=2)]
    installation.start()
    bbs.wait(lambda: len(bbs.bodies("status")) >= 2)
    assert [body["attempt"] for body in bbs.bodies("status")[:2]] == [1, 2]
    assert {body["attempt"] for body in bbs.bodies("progress")} == {1, 2}
    bbs.wait(lambda: count.read_text() == "x\nx\n")


def test_a_report_the_server_will_never_take_is_given_up(installation, bbs):
    bbs.overrides["/api/agent/status"] = lambda _body: (404, {"error": "Job not found"})
    bbs.tasks = [{"task": "nonsense", "job_id": 3}]
    installation.start()
    bbs.wait(lambda: bbs.bodies("status"))
    count = len(bbs.bodies("tasks"))
    bbs.wait(lambda: len(bbs.bodies("tasks")) > count + 1)
    assert len(bbs.bodies("status")) == 1


def test_check_jobs_of_a_poll_are_answered(installation, bbs):
    bbs.check_jobs = [41, "42"]
    installation.start()
    assert bbs.wait_for_status(41) == {"job_id": 41, "result": "abandoned"}
    assert bbs.wait_for_status(42)["result"] == "abandoned"


def test_the_agent_waits_for_a_server_that_is_not_there_yet(bbs, prefix, account):
    bbs.stop()
    installation = Installation(prefix, bbs)
    config = Path(installation.config_path)
    config.write_text(config.read_text().replace("poll_interval = 30", "poll_interval = 1"))
    installation.start()
    state = prefix / "var/lib/bbs-agent/state.json"
    wait_until(lambda: state.exists() and "cannot reach" in json.loads(state.read_text())["problem"])
    bbs.start()
    bbs.wait(lambda: bbs.bodies("tasks"))
    wait_until(lambda: json.loads(state.read_text())["online"])
    installation.stop()


def test_a_refused_ssh_key_is_fetched_anew(installation, bbs, sshd, prefix, account):
    key = prefix / "etc/bbs-agent/ssh_key"
    other = prefix / "other"
    other.parent.mkdir(exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    key.write_text(other.read_text())
    key.chmod(0o600)
    installation.start()
    bbs.wait(lambda: bbs.bodies("tasks"))
    assert key.read_text().strip() == sshd.private_key.strip()
    wait_until(lambda: json.loads((prefix / "var/lib/bbs-agent/state.json").read_text())["online"])


def test_after_a_listing_the_agent_polls_quickly(prefix, bbs, data):
    bbs.poll_interval = 30
    bbs.tasks = [{"task": "list_dir", "job_id": 1, "path": str(data), "depth": 2}]
    installation = Installation(prefix, bbs)
    installation.start()
    listing = json.loads(bbs.wait_for_status(1)["output_log"])
    assert [entry["name"] for entry in listing["entries"]][:2] == ["deep", "one.txt"]
    assert listing["entries"][0]["entries"][0]["type"] == "file" and listing["truncated"] is False
    bbs.wait(lambda: len(bbs.bodies("tasks")) > 3)
    installation.stop()
