# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The laboratory: a private sshd, repositories behind it, agents in a thread and as processes."""

import getpass
import glob
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from bbs_agent.api import Api
from bbs_agent.config import load_config, merge_config
from bbs_agent.loop import Agent
from bbs_agent.redact import Redactor
from bbs_agent.timing import Timing

HERE = Path(__file__).resolve().parent
PASSPHRASE = "correct horse battery staple"
FAST = {
    "progress": 0.1,
    "heartbeat_floor": 0.1,
    "tick": 0.03,
    "kill_grace": 1,
    "retries": (0.02, 0.05),
    "poll_floor": 0.02,
    "ssh_again": 0.05,
    "burst": 0.02,
}


PYTHONS = sorted(
    path
    for minor in range(6, 14)
    for path in glob.glob(os.path.expanduser("~/.pyenv/versions/3.{}.*/bin/python".format(minor)))[:1]
) or [sys.executable]
OLDEST = min(
    PYTHONS,
    key=lambda path: [int(part) for part in path.split("/")[-3].split(".")] if "pyenv" in path else [3],
)


class Sshd:
    """A private sshd on a loopback port; everybody who has the key lands in the gate."""

    def __init__(self, home):
        self.user = getpass.getuser()
        self.host_key = self._key(home / "host_key")
        self.client_key = self._key(home / "client_key")
        self.private_key = (home / "client_key").read_text()
        self.repositories = home / "clients"
        self.repositories.mkdir()
        gate = "{} -I -S {} {}".format(sys.executable, HERE / "gate.py", self.repositories)
        (home / "authorized_keys").write_text('command="{}",restrict {}'.format(gate, self.client_key))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (home / "sshd_config").write_text(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n"
            "StrictModes no\nPasswordAuthentication no\nPermitRootLogin forced-commands-only\n"
            "UsePAM {}\nMaxStartups 100\n".format(
                self.port,
                home / "host_key",
                home / "authorized_keys",
                "yes" if os.getuid() == 0 else "no",
            )
        )
        self._command = ["/usr/sbin/sshd", "-D", "-f", str(home / "sshd_config"), "-E", str(home / "sshd.log")]
        self.start()

    def start(self):
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        self._wait()

    def kill(self):
        """SIGKILL for it and the processes of every connection, which dies with them."""
        sessions = Path("/proc/{0}/task/{0}/children".format(self.process.pid)).read_text().split()
        for pid in [self.process.pid, *map(int, sessions)]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    @staticmethod
    def _key(path):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
        return path.with_suffix(".pub").read_text().strip()

    def _wait(self):
        for _attempt in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("sshd does not start")

    def coordinates(self, host_keys=True):
        """What register and ssh-key replies say."""
        found = {"ssh_unix_user": self.user, "server_host": "127.0.0.1", "ssh_port": self.port}
        return dict(found, ssh_host_keys=[self.host_key]) if host_keys else found


class Installation:
    """An agent under a prefix, run in a thread of this process with short waits."""

    def __init__(self, prefix, bbs, **timing):
        self.prefix = prefix
        self.config_path = str(prefix / "etc" / "bbs-agent" / "config.ini")
        merge_config(self.config_path, bbs.url, bbs.key, None)
        self.bbs = bbs
        self.timing = Timing(**dict(FAST, **timing))
        self.agent = None
        self._thread = None

    @property
    def config(self):
        return load_config(self.config_path, {}, in_container=True)

    def start(self, auto_update=False):
        config = load_config(self.config_path, {"BBS_AUTO_UPDATE": str(auto_update)}, in_container=True)
        api = Api(config.url, config.api_key, config.ca_file)
        self.agent = Agent(config, api, self.timing, Redactor())
        self._thread = threading.Thread(target=self.agent.run, daemon=True)
        self._thread.start()
        return self

    def stop(self):
        if self._thread is not None:
            self.agent.stop()
            self._thread.join(20)
            assert not self._thread.is_alive()
            self._thread = None


class Repository:
    """An initialised repository behind the sshd and the tasks that use it."""

    def __init__(self, sshd, name, template=None):
        self.path = sshd.repositories / name
        self.url = "ssh://{}@127.0.0.1/./{}".format(sshd.user, name)
        self.env = {
            "BORG_PASSPHRASE": PASSPHRASE,
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RSH": "ssh -i /etc/bbs-agent/ssh_key -p {} -o StrictHostKeyChecking=no".format(sshd.port),
        }
        if template is None:
            self.borg("init", "--encryption=repokey-blake2", str(self.path))
        else:
            shutil.copytree(str(template.path), str(self.path))

    def borg(self, *arguments):
        """Run borg on the server's side."""
        env = dict(os.environ, **self.env)
        return subprocess.run(
            ["borg", *arguments],
            env=env,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ).stdout

    def extract(self, archive, path):
        """The bytes of one archived file."""
        command = ["borg", "extract", "--stdout", "{}::{}".format(self.path, archive), path]
        return subprocess.run(command, env=dict(os.environ, **self.env), check=True, stdout=subprocess.PIPE).stdout

    def archives(self):
        return self.borg("list", "--short", str(self.path)).split()

    def backup(self, job_id, *directories, **more):
        """A backup task as a 2.91 server delivers it."""
        archive = "plan1-{}".format(job_id)
        command = ["borg", "create", "--json", "--log-json", "--list", "--progress", "--lock-wait=600"]
        command += ["--compression=lz4", "--exclude", "*.tmp", "{}::{}".format(self.url, archive)]
        task = {
            "task": "backup",
            "job_id": job_id,
            "command": command + [str(directory) for directory in directories],
            "env": dict(self.env),
            "archive_name": archive,
            "directories": "\n".join(str(directory) for directory in directories),
            "expected_files": 0,
            "precount_files": True,
            "repo_path": self.url,
            "plan_name": "daily",
            "client_name": "web01",
        }
        return dict(task, **more)

    def slow_backup(self, job_id, *directories):
        """A backup at 100 kB/s."""
        task = self.backup(job_id, *directories)
        task["command"].insert(2, "--upload-ratelimit=100")
        return task

    def restore(self, job_id, archive, target, *paths):
        command = ["borg", "extract", "--log-json", "--progress", "--list", "--lock-wait=600"]
        command += ["{}::{}".format(self.url, archive)] + [str(path).lstrip("/") for path in paths]
        task = {"task": "restore", "job_id": job_id, "command": command, "env": dict(self.env)}
        return dict(task, cwd=str(target)) if target else task


def hook(path, script):
    """An executable shell script."""
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return shlex.quote(str(path))


class AgentProcess:
    """Commands of the zipapp for one config file."""

    def __init__(self, python, zipapp, config):
        self.command = [python, zipapp]
        self.config = config

    def __call__(self, command, *arguments, stdin="", env=None):
        return subprocess.run(
            [*self.command, command, *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ, BBS_AGENT_CONFIG=self.config, **(env or {})),
            timeout=60,
        )


def wait_until(condition, timeout=40):
    """Wait for something that no request to the server tells of."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
