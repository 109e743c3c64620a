# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups: the whole way from a poll to the report, over a real sshd with a real borg."""

import json
import os
import re
import subprocess

import pytest
from agent_lab import PASSPHRASE, hook


def test_two_backups_and_a_restore(installation, bbs, repository, data, tmp_path):
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    first = bbs.wait_for_status(1)
    assert first["result"] == "completed", first
    assert first["files_total"] == first["files_processed"] == 5
    assert first["original_size"] == first["bytes_total"] == first["bytes_processed"] > 100_000
    assert first["archive_name"] == "plan1-1"
    assert "error_log" not in first and "had_warnings" not in first

    bbs.tasks.append(repository.backup(2, data, expected_files=5))
    second = bbs.wait_for_status(2)
    assert second["result"] == "completed"
    # The server's number saves counting.
    messages = [body.get("status_message") for body in bbs.bodies("progress") if body["job_id"] == 2]
    assert messages[:2] == ["Starting task...", "Backing up 5 files..."]
    assert second["deduplicated_size"] < first["deduplicated_size"]
    assert repository.archives() == ["plan1-1", "plan1-2"]

    target = tmp_path / "restored" / "here"
    bbs.tasks.append(repository.restore(3, "plan1-2", target, data / "one.txt", data / "deep"))
    restored = bbs.wait_for_status(3)
    assert restored["result"] == "completed", restored
    assert restored["files_processed"] == 4  # two files in a directory, which borg lists too
    assert (target / str(data)[1:] / "one.txt").read_text() == "content of one.txt"


def test_the_catalogue_is_streamed(installation, bbs, repository, data, sshd):
    bbs.tasks = [repository.backup(17, data)]
    installation.start()
    bbs.wait_for_status(17)
    lines = (sshd.repositories / "catalog-17.jsonl").read_text().splitlines()
    entries = {entry["path"]: entry for entry in map(json.loads, lines)}
    one = entries[str(data / "one.txt")]
    assert one["status"] == "A" and one["size"] == len("content of one.txt")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", one["mtime"])
    assert str(data / "deep" / "f\N{LATIN SMALL LETTER U WITH DIAERESIS}nf") in entries
    assert entries[str(data / "deep")]["status"] == "D"


def test_a_refused_catalogue_does_not_fail_the_backup(installation, bbs, repository, data, sshd, caplog):
    refusal = sshd.repositories / "refuse-catalog"
    refusal.touch()
    try:
        bbs.tasks = [repository.backup(18, data)]
        installation.start()
        assert bbs.wait_for_status(18)["result"] == "completed"
    finally:
        refusal.unlink()
    assert not (sshd.repositories / "catalog-18.jsonl").exists()


def test_borg_that_fails_says_why(installation, bbs, repository, data):
    task = repository.backup(1, data)
    task["env"]["BORG_PASSPHRASE"] = "wrong"
    bbs.tasks = [task]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed"
    assert "passphrase supplied in" in report["error_log"]
    assert "archive_name" not in report


@pytest.mark.skipif(os.getuid() != 0, reason="a small disk has to be mounted")
def test_a_full_disk_is_named(installation, bbs, repository, data, small_disk):
    small_disk(repository.path, kilobytes=600)
    (data / "big").write_bytes(os.urandom(3_000_000))
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed"
    assert "No space left on device" in report["error_log"].splitlines()[0], report
    # Room is made, and nothing else has to be repaired.
    subprocess.run(["mount", "-o", "remount,size=20m", str(repository.path)], check=True)
    bbs.tasks.append(repository.backup(2, data))
    assert bbs.wait_for_status(2)["result"] == "completed"


def test_a_third_party_host_gets_its_own_key(installation, bbs, repository, data, sshd, prefix):
    """The key of the task is used and gone afterwards; the agent's own key is not needed."""
    bbs.register_reply = {}
    bbs.ssh_key_reply = {}
    task = repository.backup(1, data, remote_ssh_key=sshd.private_key)
    task["env"]["BORG_RSH"] = "ssh -i /tmp/bbs-remote-ssh-key -p {}".format(sshd.port)
    bbs.tasks = [task]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "completed", report
    assert os.listdir(str(prefix / "var/lib/bbs-agent/private")) == []
    known = (prefix / "etc/bbs-agent/known_hosts_remote").read_text()
    assert sshd.host_key.split()[1] in known


def test_a_changed_host_key_stops_the_backup(installation, bbs, repository, data):
    wrong = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm90IHRoZSBrZXkgb2YgdGhhdCBzc2hk"
    bbs.register_reply["ssh_host_keys"] = bbs.ssh_key_reply["ssh_host_keys"] = [wrong]
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed"
    assert "host key" in report["error_log"].lower()
    assert repository.archives() == []


def test_an_upstream_server_without_the_newer_keys(installation, bbs, repository, data, sshd):
    """2.26.4: no host keys, no expected_files, no repo_path, no plan name."""
    bbs.register_reply = sshd.coordinates(host_keys=False)
    bbs.ssh_key_reply = dict(bbs.register_reply, ssh_private_key=sshd.private_key)
    task = repository.backup(1, data)
    for key in ("expected_files", "precount_files", "repo_path", "plan_name", "client_name"):
        del task[key]
    task["plugins"] = [{"slug": "shell_hook", "config": []}]
    bbs.tasks = [task]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "completed", report
    assert "had_warnings" not in report


def test_dry_run(installation, bbs, repository, data):
    task = repository.backup(1, data)
    task["task"] = "backup_dry_run"
    task["command"].insert(2, "--dry-run")
    (data / "skipped.tmp").touch()
    bbs.tasks = [task]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "completed", report
    found = json.loads(report["task_result"])
    assert found["files"] == report["files_processed"] == 7 and found["excluded"] == 1
    assert repository.archives() == []


def test_a_restore_that_finds_nothing_fails(installation, bbs, repository, data, tmp_path):
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    bbs.wait_for_status(1)
    bbs.tasks.append(repository.restore(2, "plan1-1", tmp_path / "r", "/no/such/path"))
    report = bbs.wait_for_status(2)
    assert report["result"] == "failed"
    assert "never matched" in report["error_log"]


def test_a_restore_into_an_impossible_place_fails(installation, bbs, repository, data):
    bbs.tasks = [repository.restore(1, "plan1-1", data / "one.txt" / "below", "/x")]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed"
    assert "cannot be made" in report["error_log"]


def test_a_restore_onto_a_full_disk_says_which(installation, bbs, repository, data, tmp_path, small_disk):
    target = tmp_path / "target"
    target.mkdir()
    small_disk(target, kilobytes=64)
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    assert bbs.wait_for_status(1)["result"] == "completed"
    bbs.tasks.append(repository.restore(2, "plan1-1", target, data))
    report = bbs.wait_for_status(2)
    assert report["result"] == "failed"
    first = report["error_log"].splitlines()[0]
    assert first.startswith("No space left on device: the disk below {}, or ".format(target)), report


@pytest.mark.parametrize(
    "task, words",
    [
        ({"task": "update_universe"}, "does not know tasks of the type 'update_universe'"),
        ({}, "does not know tasks of the type ''"),
        ({"task": "backup"}, "no borg command"),
        ({"task": "backup", "command": ["rm", "-rf", "/x"]}, "no borg command"),
        ({"task": "plugin_test"}, "no plugin with this task"),
        ({"task": "plugin_test", "plugin": {"slug": "fax"}}, "has no plugin 'fax'"),
        ({"task": "list_dir", "path": "relative"}, "not absolute"),
        ({"task": "list_dir", "path": "/no/such/place"}, "no directory"),
    ],
)
def test_a_task_that_makes_no_sense_fails_with_a_sentence(installation, bbs, task, words):
    bbs.tasks = [dict(task, job_id=9)]
    installation.start()
    report = bbs.wait_for_status(9)
    assert report["result"] == "failed"
    assert words in report["error_log"]


def test_no_secret_is_logged_or_on_a_command_line(installation, bbs, repository, data, tmp_path, caplog, prefix):
    seen = tmp_path / "seen"
    script = hook(
        tmp_path / "hook.sh",
        'cat /proc/*/cmdline 2>/dev/null | tr "\\0" " " > {}; echo {}\n'.format(seen, PASSPHRASE),
    )
    task = repository.backup(1, data)
    task["plugins"] = [{"slug": "shell_hook", "config": {"pre_script": script}}]
    bbs.tasks = [task]
    caplog.set_level("INFO")
    installation.start()
    assert bbs.wait_for_status(1)["result"] == "completed"
    installation.stop()
    assert bbs.key not in seen.read_text()
    assert PASSPHRASE not in json.dumps(bbs.bodies("progress"))
    key = prefix / "etc/bbs-agent/ssh_key"
    for path in (key, prefix / "etc/bbs-agent/config.ini", prefix / "etc/bbs-agent/ssh_info.json"):
        assert path.stat().st_mode & 0o777 == 0o600
