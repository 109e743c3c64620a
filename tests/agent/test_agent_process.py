# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as a process of its own: commands, signals, every Python, TLS."""

import os
import ssl
import subprocess
import time

import pytest
from agent_lab import OLDEST, PYTHONS, AgentProcess, hook
from fake_bbs import KEY, PACKAGE

from bbs_agent.config import merge_config


@pytest.fixture
def agent(zipapp, installation, bbs, account):
    """Installed for the oldest Python of this machine, and stopped afterwards."""
    bbs.poll_interval = 1
    found = AgentProcess(OLDEST, zipapp, installation.config_path)
    yield found
    found("stop")


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.split("/")[-3])
def test_every_python_understands_the_agent(python, zipapp, tmp_path):
    """-W error: also nothing that a newer Python has deprecated; every module is imported."""
    code = "import sys, pkgutil; sys.path.insert(0, sys.argv[1]); import bbs_agent; import importlib; print(len([importlib.import_module(m.name) for m in pkgutil.walk_packages(bbs_agent.__path__, 'bbs_agent.')]))"
    done = subprocess.run([python, "-W", "error", "-c", code, zipapp], stdout=subprocess.PIPE, check=True, text=True)
    assert int(done.stdout) == len(list(PACKAGE.rglob("*.py"))) - 1
    shown = subprocess.run([python, zipapp, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    for command in ("run", "verify", "doctor", "start", "stop", "status", "configure", "version"):
        assert command in shown


def test_the_oldest_python_runs_a_backup(agent, bbs, repository, data, prefix, tmp_path):
    assert agent("start").stdout.startswith("bbs-agent: started with pid ")
    assert agent("start").stdout.startswith("bbs-agent: already running with pid ")
    status = agent("status", "--wait", "20")
    assert status.returncode == 0 and "online as web01" in status.stdout, status
    assert agent("run").returncode == 1
    bbs.tasks = [repository.backup(1, data)]
    assert bbs.wait_for_status(1)["result"] == "completed"
    assert bbs.bodies("register")[0]["agent_version"]
    stopped = agent("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "bbs-agent: stopped\n")
    assert agent("stop").stdout == "bbs-agent: not running\n"
    assert (agent("status").returncode, agent("status").stdout) == (1, "bbs-agent: not running\n")
    log = (prefix / "var/log/bbs-agent.log").read_text()
    assert "Job 1: completed" in log and log.endswith("Stopped\n")
    assert KEY not in log and repository.env["BORG_PASSPHRASE"] not in log


def test_sigterm_stops_borg_and_reports_the_job(agent, bbs, repository, data, tmp_path):
    script = hook(tmp_path / "slow.sh", "echo $$ > {}; sleep 300 & wait\n".format(tmp_path / "pid"))
    bbs.tasks = [dict(repository.backup(1, data), plugins=[{"slug": "shell_hook", "config": {"pre_script": script}}])]
    agent("start")
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert agent("stop").returncode == 0
    assert bbs.wait_for_status(1) == {"job_id": 1, "result": "abandoned", "error_log": "agent stopped"}
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_verify(agent, bbs):
    good = agent("verify", "--server", bbs.url, stdin=KEY + "\n")
    assert (good.returncode, good.stdout, good.stderr) == (0, "the server knows this key\n", "")
    assert agent("verify", "--server", bbs.url, env={"BBS_AGENT_KEY": KEY}).returncode == 0
    bad = agent("verify", "--server", bbs.url, stdin="wrong\n")
    assert bad.returncode == 1 and bad.stdout == ""
    assert bad.stderr == "bbs-agent: error: the server at {} does not know this key (Invalid API key)\n".format(bbs.url)
    none = agent("verify", "--server", bbs.url)
    assert none.returncode == 1 and "no key" in none.stderr


def test_usage_errors(agent):
    for arguments in ([], ["--nonsense"], ["fly"], ["verify"]):
        done = subprocess.run([*agent.command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 2


def test_configure(agent):
    again = agent("configure", "--server", "https://other.example/", stdin=KEY)
    assert (again.returncode, again.stdout) == (0, "changed\n")
    again = agent("configure", "--server", "https://other.example", stdin=KEY)
    assert (again.returncode, again.stdout) == (0, "unchanged\n")


def test_doctor(agent, bbs):
    sick = agent("doctor")
    assert sick.returncode == 1 and "problem  ssh: " in sick.stdout
    bbs.heartbeat_extra = {"server_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())}
    agent("start")
    agent("status", "--wait", "20")
    well = agent("doctor")
    assert well.returncode == 0 and "problem" not in well.stdout, well.stdout


def test_without_a_config(agent, installation):
    os.unlink(installation.config_path)
    done = agent("run")
    assert done.returncode == 1 and "run the installer" in done.stderr


def test_a_broken_start_is_told(agent, installation, prefix):
    merge_config(installation.config_path, "nonsense", KEY, None)
    done = agent("start")
    assert done.returncode == 1 and "did not start" in done.stderr
    assert "is not a server address" in (prefix / "var/log/bbs-agent.log").read_text()


def test_an_own_certificate_authority(agent, bbs, certificate):
    """Refused with a hint, accepted with --ca-file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    bbs._server.socket = context.wrap_socket(bbs._server.socket, server_side=True)
    url = bbs.url.replace("http:", "https:")
    refused = agent("verify", "--server", url, stdin=KEY)
    assert refused.returncode == 1 and "--ca-file" in refused.stderr
    accepted = agent("verify", "--server", url, "--ca-file", certificate[0], stdin=KEY)
    assert accepted.returncode == 0, accepted
