# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real borg over a real loopback sshd; only the HTTP server is a double."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from agent_lab import Installation, Repository, Sshd, hook
from fake_bbs import FakeBbs, build_zipapp

from ..database_servers import mariadb, open_directory, postgres, program
from ..much_data import fill

# What a stand-in notes: its arguments, and the files that these name.
NOTE = 'printf "%s\\n" "$0 $*" >> {0}/arguments; for a in "$@"; do case $a in --*=/*) cat "${{a#*=}}" >> {0}/files;; esac; done\n'


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.process.terminate()
    server.process.wait()


@pytest.fixture
def bbs():
    """A server whose client has no SSH account: most tests need none, and each ping takes its time."""
    server = FakeBbs()
    yield server
    server.stop()


@pytest.fixture
def account(bbs, sshd):
    """The client has an SSH account after all."""
    bbs.register_reply = sshd.coordinates()
    bbs.ssh_key_reply = dict(sshd.coordinates(), ssh_private_key=sshd.private_key)


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """An installation's prefix, with a space to keep quoting honest; borg's files stay inside."""
    place = tmp_path / "pre fix"
    monkeypatch.setenv("BORG_BASE_DIR", str(tmp_path / "borg-base"))
    return place


@pytest.fixture
def installation(prefix, bbs):
    found = Installation(prefix, bbs)
    yield found
    found.stop()


@pytest.fixture
def data(tmp_path):
    """Something to back up: five files, one with an awkward name."""
    place = tmp_path / "data"
    (place / "deep").mkdir(parents=True)
    for name in ("one.txt", "two.txt", "deep/three.txt", "deep/f\N{LATIN SMALL LETTER U WITH DIAERESIS}nf"):
        (place / name).write_text("content of " + name)
    (place / "random").write_bytes(os.urandom(100_000))
    return place


@pytest.fixture
def much_data(data):
    """So much that a slow backup of it takes longer than any test."""
    fill(data / "much", 8_000_000)
    return data


@pytest.fixture(scope="session")
def template(sshd):
    """A fresh repository to copy: making one costs most of a second."""
    return Repository(sshd, "template")


@pytest.fixture
def repository(sshd, template, tmp_path, prefix, account):
    return Repository(sshd, tmp_path.name, template)


@pytest.fixture(scope="session")
def pg():
    """`(port, sql)` of a PostgreSQL with two databases."""
    if program("initdb") is None:
        pytest.skip("PostgreSQL's server is not installed")
    with open_directory() as directory, postgres(directory / "pg") as server:
        for database in ("shop", "news"):
            server.sql("CREATE DATABASE {}".format(database))
            server.sql("CREATE TABLE t (x text); INSERT INTO t VALUES ('row of {}')".format(database), database)
        yield server.port, server.sql


@pytest.fixture(scope="session")
def maria():
    """`(port, sql)` of a MariaDB with two databases."""
    if program("mariadbd") is None:
        pytest.skip("MariaDB's server is not installed")
    with open_directory() as directory, mariadb(directory / "maria") as server:
        port, sql = server
        for database in ("shop", "news"):
            sql(
                "CREATE DATABASE {0}; CREATE TABLE {0}.t (x text); INSERT INTO {0}.t VALUES ('row of {0}')".format(
                    database
                )
            )
        yield port, sql


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory):
    path = tmp_path_factory.mktemp("zipapp") / "bbs-agent.pyz"
    path.write_bytes(build_zipapp())
    return str(path)


@pytest.fixture
def certificate(tmp_path):
    """The files of a certificate for 127.0.0.1 that nobody trusts, and of its key."""
    pem = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(tmp_path / "key.pem"), "-out", str(pem)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return str(pem), str(tmp_path / "key.pem")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A directory first in PATH; programs in it note their arguments and the files these name."""
    place = tmp_path / "tools"
    place.mkdir()
    monkeypatch.setenv("PATH", "{}:{}".format(place, os.environ["PATH"]))

    def make(name, script):
        hook(place / name, NOTE.format(tmp_path) + script)

    return make


@pytest.fixture
def small_disk(tmp_path):
    """A function that moves a directory's content to a small file system mounted in its place."""
    mounted = []

    def mount(directory, kilobytes):
        shutil.copytree(str(directory), str(tmp_path / "copy"))
        options = "size={}k".format(kilobytes)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", str(directory)], check=True)
        mounted.append(directory)
        for item in (tmp_path / "copy").iterdir():
            copy = shutil.copytree if item.is_dir() else shutil.copy2
            copy(str(item), str(directory / item.name))

    yield mount
    for directory in mounted:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
