# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent and an upstream server: its recorded answers, and what older servers leave out."""

import json
import re

import pytest
from agent_lab import PASSPHRASE, hook

from ..conformance.recordings import REAL_AGENT, load

SIZES = {"files_total", "files_processed", "bytes_total", "bytes_processed", "original_size", "deduplicated_size"}


class Recording:
    """The traffic of upstream's own agent, told with the names of this laboratory."""

    def __init__(self, names):
        def told(value):
            text = json.dumps(value)
            for old, new in names.items():
                text = text.replace(json.dumps(old)[1:-1], json.dumps(str(new))[1:-1])
            return json.loads(text)

        self.requests = [(line.path.rsplit("/", 1)[1], told(line.body), told(line.answer)) for line in load(REAL_AGENT)]

    def answer(self, name):
        return next(answer for found, _body, answer in self.requests if found == name)

    def tasks(self):
        return [task for _name, _body, answer in self.requests for task in answer.get("tasks") or []]

    def bodies(self, name):
        return [body for found, body, _answer in self.requests if found == name]


def of_job(bodies, job_id):
    return [body for body in bodies if body["job_id"] == job_id]


def messages(bodies, job_id):
    """What a job said it does; counts differ with the files."""
    said = [body.get("status_message") for body in of_job(bodies, job_id)]
    return [re.sub(r"\d+", "N", text) for text in said if text]


def test_the_recorded_server_gets_what_its_own_agent_sent(installation, bbs, repository, data, sshd, tmp_path):
    """Register, two backups, a restore, a missing directory with a hook, a plugin test."""
    (data / "hello.txt").write_text("hello world")
    restored = tmp_path / "restored"
    upstream = Recording(
        {
            "ssh://bbs-web01@bbs.example/./main": repository.url,
            "/usr/local/bin/hook.sh": hook(tmp_path / "hook.sh", "echo hooked\n"),
            "/srv/not-there": data / "not-there",
            "/srv/restored": restored,
            "srv/data/hello.txt": str(data / "hello.txt")[1:],
            "/srv/data": data,
            "056E-6AD2-5928-3850-328E": PASSPHRASE,
            "bbs-web01": sshd.user,
            "bbs.example": "127.0.0.1",
        }
    )
    at = {"ssh_port": sshd.port}
    bbs.register_reply = dict(upstream.answer("register"), poll_interval=0.05, **at)
    bbs.ssh_key_reply = dict(upstream.answer("ssh-key"), ssh_private_key=sshd.private_key, **at)
    installation.start()
    ours, theirs = {}, {body["job_id"]: body for body in upstream.bodies("status")}
    assert sorted(theirs) == [1, 3, 5, 6, 8]
    for task in upstream.tasks():
        bbs.tasks.append(task)
        ours[task["job_id"]] = bbs.wait_for_status(task["job_id"])
    bbs.wait(lambda: any("post-script" in body.get("log_message", "")[:30] for body in bbs.bodies("progress")))

    # Each field of upstream's registration is in ours, and of the same type.
    registered = bbs.bodies("register")[0]
    for name, value in upstream.bodies("register")[0].items():
        assert type(registered[name]) is type(value), name
    for job_id, report in theirs.items():
        assert set(ours[job_id]) == set(report), job_id
        for name, value in report.items():
            assert type(ours[job_id][name]) is type(value), (job_id, name)
            if name not in SIZES | {"output_log"}:
                assert ours[job_id][name] == value, (job_id, name)
    for job_id in (1, 3, 6):
        assert messages(bbs.bodies("progress"), job_id) == messages(upstream.bodies("progress"), job_id)
    logged = [body["log_message"].strip() for body in of_job(bbs.bodies("progress"), 6) if "log_message" in body]
    assert logged == [
        body["log_message"].strip() for body in of_job(upstream.bodies("progress"), 6) if "log_message" in body
    ]
    assert ours[8]["output_log"] == theirs[8]["output_log"].replace("\N{EM DASH}", "-")
    assert next(iter(restored.rglob("hello.txt"))).read_text() == "hello world"


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"tasks": None},
        {"tasks": [], "poll_interval": None, "check_jobs": None},
        {"tasks": [{}, {"task": "backup"}, {"job_id": None}, {"job_id": "x"}], "poll_interval": "5"},
    ],
)
def test_a_poll_reply_with_holes_in_it_is_no_work(installation, bbs, reply):
    bbs.overrides["/api/agent/tasks"] = lambda _body: (200, reply)
    bbs.overrides["/api/agent/register"] = lambda _body: (200, {"poll_interval": 0.05})
    installation.start()
    bbs.wait(lambda: len(bbs.bodies("tasks")) > 2)
    assert bbs.bodies("status") == bbs.bodies("progress") == []


def test_legacy_forms_of_a_task(installation, bbs, data, tmp_path):
    """PHP's empty objects are lists, numbers may be text, and 2.26 names neither config nor plan."""
    script = hook(tmp_path / "hook.sh", 'echo "<$BBS_BACKUP_PLAN>"\n')
    plugin = {"slug": "shell_hook", "config": {"pre_script": script}}
    bbs.tasks = [{"task": "plugin_test", "job_id": "7", "plugin": plugin, "env": [], "command": None}]
    installation.start()
    report = bbs.wait_for_status(7)
    assert (report["job_id"], report["result"]) == (7, "completed") and "<>" in report["output_log"]
    bbs.tasks.append({"task": "backup", "job_id": 8, "command": [], "env": [], "plugins": None, "directories": None})
    assert "no borg command" in bbs.wait_for_status(8)["error_log"]
    bbs.tasks.append({"task": "list_dir", "job_id": 9, "path": str(data), "depth": "2", "max_entries": None})
    assert bbs.wait_for_status(9)["result"] == "completed"
