# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make quickstart`, as a new user runs it: once, again, after each thing that can go wrong, and away with it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import Checkout, Run

pytestmark = pytest.mark.slow
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting file systems needs root")


def assert_one_sentence(run: Run, sentence: str) -> None:
    assert run.code != 0, run.output
    flat = re.sub(r"\s+", " ", run.output)
    assert sentence in flat, run.output
    assert "Traceback" not in run.output


def test_first_run_ends_with_an_archive_and_a_restored_file(checkout: Checkout, first_run: Run) -> None:
    assert first_run.code == 0, first_run.output
    assert len(first_run.archives()) == 1
    assert f"identical: {checkout.path}/README.md" in first_run.output
    assert f"http://127.0.0.1:{checkout.port}" in first_run.output
    assert "make quickstart-stop" in first_run.output
    assert re.search(r"job 1: completed, \d+ of \d+ files", first_run.output)


def test_second_run_changes_nothing_but_adds_an_archive(checkout: Checkout, first_run: Run) -> None:
    second = checkout.make("quickstart")

    assert second.code == 0, second.output
    assert second.changed_tasks() == ["Back up now"]
    assert len(second.archives()) == 2
    assert second.archives()[0] == first_run.archives()[0]


def test_what_it_printed_to_try_works(checkout: Checkout, first_run: Run) -> None:
    token = (checkout.state / "token").read_text().strip()
    url = f"http://127.0.0.1:{checkout.port}/api/v1/queue"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})

    with urllib.request.urlopen(request) as reply:
        assert json.load(reply)["count"] == 0


def test_no_secret_was_shown_or_left_readable(checkout: Checkout, first_run: Run) -> None:
    token = (checkout.state / "token").read_text().strip()
    config = (checkout.state / "agent/etc/bbs-agent/config.ini").read_text()
    key = re.search(r"api_key\s*=\s*(\S+)", config)
    assert key is not None

    for secret in (token, key[1]):
        assert secret not in first_run.output
        holders = [
            file for file in checkout.state.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()
        ]
        assert [oct(file.stat().st_mode & 0o077) for file in holders] == ["0o0"]
    assert checkout.state.stat().st_mode & 0o077 == 0


def test_nothing_outside_the_two_folders_was_written(checkout: Checkout, first_run: Run) -> None:
    known = {".venv", ".quickstart"}
    status = subprocess.run(["git", "init", "-q"], cwd=checkout.path, check=False)
    assert status.returncode == 0
    untracked = checkout.run("git", "status", "--porcelain", "--ignored", "--untracked-files=normal").output
    ignored = {line[3:].rstrip("/") for line in untracked.splitlines() if line.startswith("!!")}
    unexpected = {name for name in ignored if name not in known and not name.endswith((".egg-info", "__pycache__"))}
    assert unexpected == set()
    made = {path.name for path in checkout.home.iterdir()}
    # pip keeps a cache, and asks the compilers it finds for their versions.
    assert made <= {".cache", ".rustup", ".cargo"}


def test_port_taken(checkout: Checkout, first_run: Run) -> None:
    checkout.make("quickstart-stop")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", checkout.port))
        other.listen()
        refused = checkout.make("quickstart")

    assert_one_sentence(refused, f"Cannot listen on 127.0.0.1:{checkout.port}: Address already in use.")
    assert_one_sentence(refused, "Stop the program that uses it or choose another port")
    converges(checkout)


def test_wrong_token(checkout: Checkout, first_run: Run) -> None:
    token = checkout.state / "token"
    right = token.read_text()
    token.write_text("bbs_tok_" + "0" * 48 + "\n")
    refused = checkout.make("quickstart")
    token.write_text(right)

    assert_one_sentence(refused, "token")
    assert re.search(r"401|refused|unknown|expired", refused.output), refused.output
    converges(checkout)


def test_server_down(checkout: Checkout, first_run: Run) -> None:
    checkout.make("quickstart-stop")
    variables = {
        "quickstart_directory": str(checkout.state),
        "quickstart_virtualenv": str(checkout.path / ".venv"),
        "quickstart_port": str(checkout.port),
        "quickstart_backup": [str(checkout.path / "README.md")],
    }
    refused = checkout.run(
        str(checkout.bin / "ansible-playbook"),
        "docs/examples/quickstart.yml",
        "-e",
        json.dumps(variables),
        ANSIBLE_COLLECTIONS_PATH=str(checkout.state / "collections"),
    )

    assert_one_sentence(refused, f"Cannot reach the Borg Backup Server at http://127.0.0.1:{checkout.port}")
    assert_one_sentence(refused, "Is it running, and is url right?")
    converges(checkout)


@needs_root
def test_disk_full_in_the_repository(checkout: Checkout, first_run: Run) -> None:
    checkout.make("quickstart-stop")
    with full_disk(checkout.state / "server" / "repositories"):
        refused = checkout.make("quickstart")
        checkout.make("quickstart-stop")

    assert_one_sentence(refused, "No space left on device")
    converges(checkout)


@needs_root
def test_borg_missing_and_not_installable(checkout: Checkout, first_run: Run) -> None:
    checkout.make("quickstart-stop")
    refused = checkout.make("quickstart", prefix=("unshare", "--mount", "--net", "bash", "-c", _WITHOUT_BORG, "-"))

    assert_one_sentence(refused, "Installing the distribution's packages borgbackup and openssh-server")
    assert_one_sentence(refused, "could not be installed")
    assert_one_sentence(refused, 'Install them yourself with "apt-get install borgbackup openssh-server"')
    converges(checkout)


def test_stop_and_clean_leave_nothing(checkout: Checkout, first_run: Run) -> None:
    stopped = checkout.make("quickstart-stop")
    assert stopped.code == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", checkout.port)) != 0

    again = checkout.make("quickstart-stop")
    assert again.code == 0
    assert "not running" in again.output

    assert checkout.make("clean").code == 0
    assert not checkout.state.exists()
    assert not (checkout.path / ".venv").exists()
    assert checkout.make("clean").code == 0


# In name spaces of its own: the machine as it would be without borg, and without a network.
_WITHOUT_BORG = """
set -e
ip link set lo up
for folder in usr var; do
  mkdir -p /mnt/bbs-$folder
  mount -t tmpfs tmpfs /mnt/bbs-$folder
  mkdir /mnt/bbs-$folder/upper /mnt/bbs-$folder/work
  mount -t overlay overlay -o lowerdir=/$folder,upperdir=/mnt/bbs-$folder/upper,workdir=/mnt/bbs-$folder/work /$folder
done
dpkg --force-depends --remove borgbackup >/dev/null
rm -f /var/cache/apt/archives/*.deb
exec "$@"
"""


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """Put a copy of the folder on a file system of its own that has no room left."""
    copy = directory.with_name("copy")
    directory.rename(copy)
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(directory)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{copy}/.", str(directory)], check=True)
        with (directory / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"\0" * 4096)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()
        copy.rename(directory)


def converges(checkout: Checkout) -> None:
    """Once the cause is gone, a run ends well."""
    run = checkout.make("quickstart")
    assert run.code == 0, run.output
    assert "identical: " in run.output
