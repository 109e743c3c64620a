# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The system layout, with each package manager and init system.

The root directory is an overlay over this machine's own, in a mount namespace: what the installer
writes to /etc, /opt and so on is real and gone afterwards. The package managers and service managers
are stand-ins that note what they were asked; starting the service really starts the agent.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from agent_lab import hook
from fake_bbs import KEY

from bbs_server.agent_artifact import installer as installer_script

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="an overlay over the root directory has to be mounted")

NEEDED = ("bash", "cat", "chmod", "cmp", "cp", "dirname", "grep", "id", "ln", "mkdir", "mktemp", "mv", "readlink")
NEEDED += ("rm", "rmdir", "sh", "ssh", "stat", "tail")
NOTE = 'echo "${0##*/} $*" >> /asked\n'
# Whatever installs borg, this is where it appears.
APPEAR = "ln -sf /usr/bin/borg /tools/borg\n"
ENTER = """
set -e
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
for place in proc dev; do mount --rbind "/$place" "$1/root/$place"; done
for place in run tmp; do mount -t tmpfs tmpfs "$1/root/$place"; done
mkdir -p "$1/root/tools"
cp -a "$1/tools/." "$1/root/tools"
[ ! -e "$1/systemd" ] || mkdir -p "$1/root/run/systemd/system"
exec chroot "$1/root" /tools/bash -e /tools/session
"""


class Machine:
    """A root directory of its own with the programs that are given to it, and no others."""

    def __init__(self, place, bbs):
        self.place = place
        self.bbs = bbs
        for name in ("upper", "work", "root", "tools"):
            (place / name).mkdir()
        for name in NEEDED:
            (place / "tools" / name).symlink_to(os.path.realpath(shutil.which(name)))
        hook(place / "tools" / "python3", 'exec {} "$@"\n'.format(os.path.realpath(sys.executable)))
        (place / "tools" / "install.sh").write_bytes(installer_script())

    def stand_in(self, **scripts):
        for name, script in scripts.items():
            hook(self.place / "tools" / name.replace("_", "-"), NOTE + script)
        return self

    def systemd(self):
        (self.place / "systemd").touch()
        return self.stand_in(
            systemctl="""
case "$*" in
  *is-enabled*) [ -e /enabled ] ;;
  *is-active*) bbs-agent status >/dev/null ;;
  *disable*) rm -f /enabled; bbs-agent stop >/dev/null ;;
  *enable*) echo > /enabled ;;
  restart*) bbs-agent stop >/dev/null; bbs-agent start >/dev/null ;;
esac
"""
        )

    def openrc(self):
        return self.stand_in(
            openrc_run="",
            rc_update='case $1 in show) cat /enabled 2>/dev/null || true ;; add) echo "bbs-agent | default" > /enabled ;; esac\n',
            rc_service="""
case $2 in
  status) bbs-agent status ;;
  stop) bbs-agent stop ;;
  restart) bbs-agent stop; bbs-agent start ;;
esac
""",
        )

    def session(self, lines):
        """Run shell lines inside; the finished process. `$install` is the installer with its arguments."""
        script = "export PATH=/tools:/usr/local/bin BBS_AGENT_KEY={}\nunset BBS_AGENT_CONFIG\n".format(KEY)
        script += 'install="bash /tools/install.sh --server {}"\n'.format(self.bbs.url)
        (self.place / "tools" / "session").write_text(script + lines + "\n")
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "enter", str(self.place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )

    def asked(self, program):
        """What a stand-in was asked, without its name."""
        lines = (self.place / "upper" / "asked").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == program]

    def file(self, path):
        return self.place / "upper" / path.lstrip("/")


@pytest.fixture
def machine(bbs, account):
    bbs.offer_agent()
    bbs.poll_interval = 1
    if os.path.exists("/usr/local/bin/borg"):
        pytest.skip("a borg in /usr/local/bin is found whatever PATH says")
    with tempfile.TemporaryDirectory(prefix="bbs-machine-", dir="/var/tmp") as place:
        yield Machine(Path(place), bbs)


CYCLE = """
$install
echo "--- again"
$install
echo "--- gone"
mkdir /kept
cp /etc/bbs-agent/* /kept
bash /opt/bbs-agent/install.sh --uninstall --yes
for place in /etc/bbs-agent /opt/bbs-agent /var/lib/bbs-agent /var/log/bbs-agent.log /usr/local/bin/bbs-agent; do
  [ ! -e "$place" ] || echo "left: $place"
done
bash /tools/install.sh --uninstall --yes
"""


def cycle(machine):
    """Install, again, uninstall twice."""
    done = machine.session(CYCLE)
    assert done.returncode == 0, done
    first, again, gone = done.stdout.split("--- ")
    assert "installing borg, Python and ssh" in first
    assert first.splitlines()[-1].startswith("bbs-agent: installed"), done
    assert again.splitlines()[-1] == "bbs-agent: unchanged", again
    assert gone.splitlines() == ["gone", "bbs-agent: removed", "bbs-agent: removed"], gone
    for name in ("config.ini", "ssh_key"):
        assert machine.file("/kept/" + name).stat().st_mode & 0o777 == 0o600


def test_apt_and_systemd(machine):
    machine.stand_in(apt_get="case $* in *install*) {} ;; esac\n".format(APPEAR.strip())).systemd()
    cycle(machine)
    assert machine.asked("apt-get") == [
        "-q update",
        "-q -y install --no-install-recommends borgbackup python3 openssh-client ca-certificates",
    ]
    asked = machine.asked("systemctl")
    assert asked[:4] == [
        "daemon-reload",
        "--quiet is-enabled bbs-agent",
        "--quiet enable bbs-agent",
        "restart bbs-agent",
    ]
    assert asked.count("restart bbs-agent") == 1 and asked.count("--quiet disable --now bbs-agent") == 1


def test_apk_and_openrc(machine):
    machine.stand_in(apk=APPEAR).openrc()
    cycle(machine)
    assert machine.asked("apk") == ["add --no-progress borgbackup python3 openssh-client ca-certificates"]
    assert "add bbs-agent default" in machine.asked("rc-update") and "del bbs-agent default" in machine.asked(
        "rc-update"
    )
    assert machine.asked("rc-service").count("bbs-agent restart") == 1


def test_yum_with_epel_and_chkconfig(machine):
    """The first attempt finds no borg: on RHEL and its like it is in EPEL."""
    machine.stand_in(
        yum="case $* in *epel*) echo > /epel ;; *borg*) [ -e /epel ] && {} ;; esac\n".format(APPEAR.strip())
    )
    machine.stand_in(chkconfig="")
    done = machine.session("$install\nbash /opt/bbs-agent/install.sh --uninstall --yes")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "bbs-agent: removed", done
    assert machine.asked("yum") == [
        "-y install borgbackup python3 openssh-clients",
        "-y install epel-release",
        "-y install borgbackup python3 openssh-clients",
    ]
    assert machine.asked("chkconfig")[0] == "--add bbs-agent" and machine.asked("chkconfig")[-1] == "--del bbs-agent"


@pytest.mark.parametrize(
    "program, words",
    [
        ("dnf", "-y install borgbackup python3 openssh-clients"),
        ("zypper", "--non-interactive install borgbackup python3 openssh"),
        ("pacman", "-Sy --noconfirm --needed borg python openssh"),
    ],
)
def test_other_package_managers(machine, program, words):
    machine.stand_in(**{program: APPEAR})
    done = machine.session("$install --no-service")
    assert done.returncode == 0, done
    assert machine.asked(program) == [words]
    assert (
        machine.file("/etc/bbs-agent/config.ini").exists()
        and not machine.file("/etc/systemd/system/bbs-agent.service").exists()
    )


@pytest.mark.parametrize(
    "scripts, words",
    [
        ({}, "the packages could not be installed"),
        ({"apt_get": "echo no route to mirror; exit 100\n"}, "the packages could not be installed"),
        ({"zypper": ""}, "there is no borg after installing the packages"),
        ({"pacman": APPEAR}, "found no systemd, OpenRC or SysV init"),
    ],
)
def test_what_cannot_be_done_is_said(machine, scripts, words):
    done = machine.stand_in(**scripts).session("$install")
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("bbs-agent: error: "), done
    assert words in done.stderr
    if "packages" in words:
        assert not machine.file("/etc/bbs-agent").exists() and not machine.file("/opt").exists()
