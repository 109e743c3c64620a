# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`install.sh`: piped into bash as a user would, against the double of the server."""

import os
import shutil
import subprocess
import sys

import pytest
from fake_bbs import KEY

from bbs_server.agent_artifact import installer as installer_script

SCRIPT = installer_script()


class Installer:
    """Runs the script under a prefix and takes away whatever it started."""

    def __init__(self, bbs, prefix):
        self.bbs = bbs
        self.prefix = prefix

    def __call__(self, *arguments, script=SCRIPT, **env):
        """Pipe `script` into bash, as the documented command line does."""
        return self.run(["bash", "-s", "--", *arguments], script, env)

    def run(self, command, stdin, env):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BBS_")}
        return subprocess.run(
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(clean, **env),
            timeout=60,
        )

    def install(self, *more, **env):
        env.setdefault("BBS_AGENT_KEY", KEY)
        return self("--server", self.bbs.url, "--prefix", str(self.prefix), *more, **env)

    def uninstall(self):
        return self("--uninstall", "--yes", "--prefix", str(self.prefix))

    def agent(self, *arguments):
        return self.run([str(self.prefix / "bin" / "bbs-agent"), *arguments], b"", {})

    def files(self):
        return sorted(str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if path.is_file())

    def pid(self):
        return int((self.prefix / "run" / "bbs-agent.pid").read_text())


@pytest.fixture
def installer(bbs, prefix, account):
    bbs.offer_agent()
    bbs.poll_interval = 1
    found = Installer(bbs, prefix)
    yield found
    if (prefix / "bin" / "bbs-agent").exists():
        found.agent("stop")


def last_line(done):
    return done.stdout.decode().splitlines()[-1]


def error(done):
    """The one sentence of a failed run."""
    assert done.returncode == 1, done
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("bbs-agent: error: "), done
    return lines[0]


def test_install_again_change_and_uninstall(installer, bbs):
    first = installer.install()
    assert first.returncode == 0, first
    assert last_line(first).startswith("bbs-agent: installed")
    assert bbs.bodies("register") and bbs.bodies("tasks")
    assert installer.files() == [
        "bin/bbs-agent",
        "etc/bbs-agent/config.ini",
        "etc/bbs-agent/known_hosts",
        "etc/bbs-agent/ssh_info.json",
        "etc/bbs-agent/ssh_key",
        "opt/bbs-agent/bbs-agent.pyz",
        "opt/bbs-agent/install.sh",
        "run/bbs-agent.pid",
        "var/lib/bbs-agent/state.json",
        "var/log/bbs-agent.log",
    ]
    for name in ("config.ini", "ssh_key"):
        assert (installer.prefix / "etc/bbs-agent" / name).stat().st_mode & 0o777 == 0o600

    pid = installer.pid()
    second = installer.install()
    assert second.returncode == 0, second
    assert last_line(second) == "bbs-agent: unchanged"
    assert installer.pid() == pid

    # A stopped agent is no unchanged one.
    assert installer.agent("stop").returncode == 0
    third = installer.install()
    assert last_line(third).startswith("bbs-agent: installed")
    assert installer.pid() != pid

    # Another key: only that line changes, and the agent starts anew.
    config = installer.prefix / "etc/bbs-agent/config.ini"
    config.write_text(config.read_text().replace("poll_interval = 30", "poll_interval = 11\nmine = 1"))
    bbs.key = "b" * 64
    pid = installer.pid()
    fourth = installer.install(BBS_AGENT_KEY=bbs.key)
    assert last_line(fourth).startswith("bbs-agent: installed"), fourth
    assert "poll_interval = 11\nmine = 1\n" in config.read_text() and bbs.key in config.read_text()
    assert installer.pid() != pid

    keys = installer.prefix / "var/lib/bbs-agent/borg/.config/borg/keys"
    keys.mkdir(parents=True)
    (keys / "repo").write_text("a key without which a repository cannot be read")
    (installer.prefix / "opt" / "theirs").write_text("not ours")
    (installer.prefix / "etc/bbs-agent/.config.ini.x").write_text("an agent was killed")
    gone = installer.uninstall()
    assert gone.returncode == 0, gone
    assert "kept borg's key files" in gone.stdout.decode()
    assert installer.files() == ["opt/theirs", "var/lib/bbs-agent/borg/.config/borg/keys/repo"]
    assert not (installer.prefix / "bin").exists()


def test_the_first_key_once_more_when_the_agent_has_its_own(installer, bbs):
    config = installer.prefix / "etc/bbs-agent/config.ini"
    config.parent.mkdir(parents=True)
    # Also in a container, where it would keep the first one.
    config.write_text("[agent]\nexchange_key = yes\n")
    bbs.own_key = "b" * 64
    assert installer.install().returncode == 0
    assert bbs.key == bbs.own_key and bbs.own_key in config.read_text()

    pid, before = installer.pid(), config.read_text()
    again = installer.install()
    assert last_line(again) == "bbs-agent: unchanged", again
    assert (installer.pid(), config.read_text()) == (pid, before)


def test_a_key_on_standard_input(installer, tmp_path):
    (tmp_path / "install.sh").write_bytes(SCRIPT)
    done = installer.run(
        ["bash", str(tmp_path / "install.sh"), "--server", installer.bbs.url, "--key", "-"]
        + ["--prefix", str(installer.prefix), "--no-service"],
        KEY.encode() + b"\n",
        {},
    )
    assert done.returncode == 0, done
    assert last_line(done).startswith("bbs-agent: installed")
    assert KEY in (installer.prefix / "etc/bbs-agent/config.ini").read_text()
    assert not (installer.prefix / "run").exists()


def test_the_documented_options(installer):
    done = installer(
        "--server", installer.bbs.url + "/", "--key", KEY, "--prefix", str(installer.prefix), "--no-service"
    )
    assert done.returncode == 0, done
    again = installer("--server", installer.bbs.url, "--key", KEY, "--prefix", str(installer.prefix), "--no-service")
    assert last_line(again) == "bbs-agent: unchanged"


def test_no_child_has_the_key_on_its_command_line(installer, tmp_path, monkeypatch):
    """Every program the script can start is replaced by one that notes its arguments."""
    tools = tmp_path / "tools"
    tools.mkdir()
    notes = tmp_path / "notes"
    for name in (
        "python3",
        "mkdir",
        "cp",
        "mv",
        "cmp",
        "stat",
        "chmod",
        "cat",
        "mktemp",
        "tail",
        "dirname",
        "grep",
    ):
        real = shutil.which(name)
        if name == "python3":
            real = os.path.realpath(
                subprocess.check_output([real, "-c", "import sys; print(sys.executable)"], text=True).strip()
            )
        (tools / name).write_text('#!/bin/sh\nprintf "%s " {0} "$@" >> {1}\nexec {0} "$@"\n'.format(real, notes))
        (tools / name).chmod(0o755)
    done = installer.install("--key", KEY, "--no-service", PATH="{}:{}".format(tools, os.environ["PATH"]))
    assert done.returncode == 0, done
    assert "mktemp" in notes.read_text() and KEY not in notes.read_text()


def test_a_wrong_key_writes_nothing(installer):
    assert "does not know this key" in error(installer.install(BBS_AGENT_KEY="wrong"))
    assert not installer.prefix.exists()


def test_a_wrong_digest_writes_nothing(installer):
    installer.bbs.downloads["bbs-agent.pyz"] += b"more"
    assert "digest" in error(installer.install())
    assert not installer.prefix.exists()


@pytest.mark.parametrize("digest", [b"", b"<html>login</html>\n", b"a" * 64 + b"  other.pyz\n"])
def test_something_else_than_a_digest_writes_nothing(installer, digest):
    installer.bbs.downloads["bbs-agent.pyz.sha256"] = digest
    assert "is it a Borg Backup Server?" in error(installer.install())
    assert not installer.prefix.exists()


def test_a_redirect_is_not_followed(installer):
    installer.bbs.overrides["/api/agent/download"] = lambda _body: (302, b"")
    assert "HTTP 302" in error(installer.install())


def test_a_server_that_is_down(installer):
    installer.bbs.stop()
    assert "cannot download" in error(installer.install())
    assert not installer.prefix.exists()
    installer.bbs.start()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "--server is missing"),
        (["--server"], "--server needs a value"),
        (["--server", "https://bbs.example"], "the key is missing"),
        (["--server", "bbs.example", "--key", "k"], "must be an address"),
        (["--servre", "https://bbs.example"], "unknown option --servre"),
        (["extra"], "unknown option extra"),
        (["--server", "https://x", "--key", "k", "--prefix", "relative"], "absolute"),
        (["--server", "https://x", "--key", "k", "--prefix", "/"], "makes no sense"),
        (["--server", "https://x", "--key", "k", "--ca-file", "/no/such"], "cannot be read"),
        (["--server", "https://x", "--key", "-"], "no key on standard input"),
        (["--uninstall"], "add --yes"),
    ],
)
def test_wrong_arguments_are_named(installer, arguments, words):
    if "--prefix" not in arguments:
        arguments = [*arguments, "--prefix", str(installer.prefix)] if arguments != ["--server"] else arguments
    assert words in error(installer(*arguments))
    assert not installer.prefix.exists()


def test_help(installer):
    done = installer("--help")
    assert done.returncode == 0 and b"--ca-file" in done.stdout


def test_a_download_that_was_cut_off_fails_and_does_nothing(installer):
    """The documented command has `exit 1` follow whatever came, nothing at all included."""
    arguments = ["--server", installer.bbs.url, "--prefix", str(installer.prefix)]
    start = SCRIPT.index(b"\n{\n")
    offsets = [0, 1, 19, start // 2, start + 2, start + 3, len(SCRIPT) // 2]
    offsets += [SCRIPT.index(b"\nmain()"), SCRIPT.index(b'\nmain "$@"')]
    offsets += range(len(SCRIPT) - 8, len(SCRIPT) - 1)
    for offset in offsets:
        done = installer(*arguments, script=SCRIPT[:offset] + b"\nexit 1\n", BBS_AGENT_KEY=KEY)
        assert done.returncode != 0, (offset, done)
        assert done.stdout == b""
    assert not installer.prefix.exists() and installer.bbs.requests == []


def test_what_follows_a_whole_download_is_not_run(installer):
    done = installer("--help", script=SCRIPT + b"\nexit 1\n")
    assert done.returncode == 0, done


def test_shellcheck_has_no_complaint(tmp_path):
    """Of the script as it is served; its parts make no sense alone."""
    (tmp_path / "install.sh").write_bytes(SCRIPT)
    shellcheck = os.path.join(os.path.dirname(sys.executable), "shellcheck")
    done = subprocess.run([shellcheck, str(tmp_path / "install.sh")], stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout.decode()


def test_without_borg_a_prefix_installation_says_so(installer, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(os.path.realpath(sys.executable))
    for name in ("bash", "id", "mktemp", "rm", "ssh"):
        (tools / name).symlink_to(os.path.realpath(shutil.which(name)))
    if os.path.exists("/usr/local/bin/borg"):
        pytest.skip("a borg in /usr/local/bin is found whatever PATH says")
    done = installer.install(PATH=str(tools))
    assert "borg is missing" in error(done)


def test_an_agent_that_does_not_come_online_is_a_failure(installer, bbs, monkeypatch):
    bbs.ssh_key_reply = {}
    bbs.register_reply = {}
    script = SCRIPT.replace(b"--wait 30", b"--wait 2")
    done = installer("--server", bbs.url, "--prefix", str(installer.prefix), script=script, BBS_AGENT_KEY=KEY)
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("bbs-agent: error: the agent does not come online") and "SSH key not provisioned" in last
