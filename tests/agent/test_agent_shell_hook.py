# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`shell_hook`: environment, order, failures, time-outs, clean-up."""

import json
import os
import signal

from agent_lab import PASSPHRASE, hook

# Hooks run all the same, and the job is over as soon as borg's turn comes.
NO_BORG = {"task": "backup", "job_id": 1, "command": []}


def with_hook(task, **config):
    return dict(task, plugins=[{"slug": "shell_hook", "config": config, "config_id": 1, "config_name": "hk"}])


def test_pre_and_post_script(installation, bbs, repository, data, tmp_path):
    script = hook(
        tmp_path / "my hook.sh",
        'env | grep ^BBS_ | sort > {}/"$BBS_BACKUP_STATUS"; echo hooked "$1"\n'.format(tmp_path),
    )
    bbs.tasks = [with_hook(repository.backup(6, data), pre_script=script + " now", post_script=script + " later")]
    installation.start()
    assert bbs.wait_for_status(6)["result"] == "completed"
    bbs.wait(lambda: len([body for body in bbs.bodies("progress") if "log_message" in body]) == 2)
    messages = [body["log_message"] for body in bbs.bodies("progress") if "log_message" in body]
    assert "(exit 0)" in messages[0] and "(pending)" in messages[0] and "hooked now" in messages[0]
    assert messages[1].endswith("hooked later")
    assert "Running plugin: Shell Script Hook" in [body.get("status_message") for body in bbs.bodies("progress")]
    # The report comes before the post script (agent-protocol.md §11).
    order = [path for path, body in bbs.requests if body and (body.get("result") or "log_message" in body)]
    assert order == ["/api/agent/progress", "/api/agent/status", "/api/agent/progress"]
    known = dict(line.split("=", 1) for line in (tmp_path / "completed").read_text().splitlines())
    assert known == {
        "BBS_ARCHIVE_NAME": "plan1-6",
        "BBS_REPO_PATH": repository.url,
        "BBS_BACKUP_PLAN": "daily",
        "BBS_CLIENT_NAME": "web01",
        "BBS_BACKUP_STATUS": "completed",
        "BBS_DIRECTORIES": str(data),
        "BBS_JOB_ID": "6",
    }
    assert (tmp_path / "pending").exists()


def test_a_failing_pre_script_aborts_when_asked_to(installation, bbs, repository, data, tmp_path):
    post = hook(tmp_path / "post.sh", "touch {}\n".format(tmp_path / "post-ran"))
    script = hook(tmp_path / "bad.sh", "echo it hurts >&2; exit 7\n")
    bbs.tasks = [with_hook(repository.backup(1, data), pre_script=script, post_script=post, abort_on_failure="1")]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed"
    assert "exit code 7" in report["error_log"] and "it hurts" in report["error_log"]
    installation.stop()
    assert repository.archives() == [] and not (tmp_path / "post-ran").exists()


def test_a_failing_pre_script_is_a_warning_otherwise(installation, bbs, repository, data, tmp_path):
    script = hook(tmp_path / "bad.sh", "exit 7\n")
    bbs.tasks = [with_hook(repository.backup(1, data), pre_script=script, abort_on_failure="0")]
    installation.start()
    report = bbs.wait_for_status(1)
    assert (report["result"], report["had_warnings"]) == ("completed", True)
    assert "exit code 7" in report["error_log"]
    assert repository.archives() == ["plan1-1"]


def plugin_test(bbs, installation, **config):
    """Run a plugin_test task; its report. Quicker than a backup, same code."""
    bbs.tasks = [{"task": "plugin_test", "job_id": 8, "plugin": {"slug": "shell_hook", "config": config}}]
    installation.start()
    return bbs.wait_for_status(8)


def test_plugin_test_runs_both_scripts(installation, bbs, tmp_path):
    script = hook(tmp_path / "hook.sh", 'echo "$BBS_BACKUP_STATUS"\n')
    report = plugin_test(bbs, installation, pre_script=script, post_script=script)
    assert report["result"] == "completed"
    assert report["output_log"] == "Pre-script: {0} exit 0 - pending | Post-script: {0} exit 0 - completed".format(
        script
    )


def test_a_script_that_does_not_exist(installation, bbs):
    report = plugin_test(bbs, installation, pre_script="/no/such/script --now")
    assert (report["result"], report["error_log"]) == ("failed", "/no/such/script does not exist")


def test_a_script_that_is_not_executable(installation, bbs, tmp_path):
    (tmp_path / "plain").write_text("echo hi\n")
    report = plugin_test(bbs, installation, pre_script=str(tmp_path / "plain"))
    assert report["result"] == "failed" and "cannot be started" in report["error_log"]


def test_a_script_with_an_open_quote(installation, bbs):
    report = plugin_test(bbs, installation, pre_script="/bin/echo 'oops")
    assert report["result"] == "failed" and "cannot be split" in report["error_log"]


def test_a_script_that_takes_too_long(installation, bbs, tmp_path):
    script = hook(tmp_path / "slow.sh", "sleep 300 & wait\n")
    report = plugin_test(bbs, installation, pre_script=script, timeout="1")
    assert report["result"] == "failed" and "longer than 1 s" in report["error_log"]


def test_a_service_left_behind_does_not_hold_up_the_agent(installation, bbs, tmp_path):
    """The script starts something in the background that keeps its standard output open."""
    script = hook(tmp_path / "starter.sh", "setsid sleep 30 & echo $! > {}; echo started\n".format(tmp_path / "pid"))
    report = plugin_test(bbs, installation, pre_script=script)
    assert report["output_log"].endswith("started")
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGTERM)


def test_long_output_is_cut(installation, bbs, tmp_path):
    script = hook(tmp_path / "loud.sh", "seq 1 100000\n")
    report = plugin_test(bbs, installation, pre_script=script)
    assert len(report["output_log"]) < 11000 and report["output_log"].endswith("100000")


def test_the_passphrase_is_exposed_on_request_only(installation, bbs, tmp_path):
    script = hook(
        tmp_path / "peek.sh",
        'sh -c "$BORG_PASSCOMMAND" > {0}/passphrase; echo "$BORG_REPO" > {0}/repo\n'.format(tmp_path),
    )
    task = dict(NO_BORG, env={"BORG_PASSPHRASE": PASSPHRASE}, repo_path="ssh://u@h/./main")
    bbs.tasks = [with_hook(task, pre_script=script, expose_passphrase=True)]
    installation.start()
    bbs.wait_for_status(1)
    assert (tmp_path / "passphrase").read_text() == PASSPHRASE
    assert (tmp_path / "repo").read_text().strip() == "ssh://u@h/./main"
    assert PASSPHRASE not in json.dumps(bbs.bodies("progress"))


def test_a_deferred_post_script_waits_for_its_own_task(installation, bbs, tmp_path):
    post = hook(tmp_path / "post.sh", 'echo "$BBS_BACKUP_STATUS" > {}/post\n'.format(tmp_path))
    config = {"post_script": post, "post_script_timing": "repo_jobs"}
    bbs.tasks = [with_hook(NO_BORG, **config)]
    installation.start()
    bbs.wait_for_status(1)
    count = len(bbs.bodies("tasks"))
    bbs.wait(lambda: len(bbs.bodies("tasks")) > count)
    assert not (tmp_path / "post").exists()
    bbs.tasks.append({"task": "plugin_post", "job_id": 2, "plugin": {"slug": "shell_hook", "config": config}})
    assert bbs.wait_for_status(2)["result"] == "completed"
    assert (tmp_path / "post").read_text() == "completed\n"


def test_an_unknown_plugin_is_a_warning_and_s3_sync_is_not(installation, bbs, repository, data):
    """s3_sync stands in tasks, but is done by the server (agent-protocol.md §11)."""
    plugins = [{"slug": "s3_sync", "config": {}}, {"slug": "fax", "config": {}}]
    bbs.tasks = [dict(repository.backup(1, data), plugins=plugins)]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["had_warnings"] is True
    assert report["error_log"] == "This agent has no plugin 'fax'.\n"
