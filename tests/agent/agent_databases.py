# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private database servers on loopback, for as long as a `with` block lasts."""

import getpass
import glob
import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

PASSWORD = "p\"a's s\\w#rd"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    """A server program, which distributions like to keep out of PATH; None when not installed."""
    places = ["/usr/sbin/" + name, *sorted(glob.glob("/usr/lib/postgresql/*/bin/" + name), reverse=True)]
    return shutil.which(name) or next((place for place in places if os.path.exists(place)), None)


def unprivileged():
    """Database servers refuse to run as root."""
    return "nobody" if os.getuid() == 0 else getpass.getuser()


def _owned(directory):
    user = pwd.getpwnam(unprivileged())
    directory.mkdir()
    os.chown(str(directory), user.pw_uid, user.pw_gid)
    return {"user": user.pw_name} if os.getuid() == 0 else {}


def _wait_for(port, process):
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the database does not start"
            time.sleep(0.05)


@contextmanager
def postgres(directory):
    """Yields `(port, sql)`: a server with the role backup, and a function that runs SQL."""
    as_user = _owned(directory)
    data, password_file = str(directory / "data"), directory / "password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    port = free_port()
    subprocess.run(
        [program("initdb"), "-D", data, "-U", "backup", "--auth=scram-sha-256", "--no-sync"]
        + ["--encoding=UTF8", "--locale=C", "--pwfile=" + str(password_file)],
        check=True,
        stdout=subprocess.DEVNULL,
        **as_user,
    )
    process = subprocess.Popen(
        [
            program("postgres"),
            "-D",
            data,
            "-p",
            str(port),
            "-k",
            str(directory),
            "-c",
            "listen_addresses=127.0.0.1",
        ]
        + ["-c", "fsync=off"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=str(directory),
        **as_user,
    )

    def sql(statement, database="postgres"):
        return subprocess.run(
            [
                "psql",
                "-qAt",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-U",
                "backup",
                "-d",
                database,
                "-c",
                statement,
            ],
            env=dict(os.environ, PGPASSWORD=PASSWORD),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    try:
        _wait_for(port, process)
        yield port, sql
    finally:
        process.terminate()
        process.wait()


@contextmanager
def mariadb(directory):
    """Yields `(port, sql)`: a server with the user backup, and a function that runs SQL."""
    as_user = _owned(directory)
    port = free_port()
    socket_path = str(directory / "socket")
    common = ["--no-defaults", "--datadir=" + str(directory / "data")]
    subprocess.run(
        [
            program("mariadb-install-db"),
            *common,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user,
    )
    process = subprocess.Popen(
        [program("mariadbd"), *common, "--port={}".format(port), "--bind-address=127.0.0.1"]
        + ["--socket=" + socket_path, "--pid-file=" + str(directory / "pid"), "--skip-name-resolve"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user,
    )

    def sql(statement):
        command = ["mariadb", "--no-defaults", "-uroot", "--socket=" + socket_path, "-BN"]
        return subprocess.run(command, input=statement, check=True, stdout=subprocess.PIPE, text=True).stdout

    try:
        _wait_for(port, process)
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "''")
        sql("CREATE USER backup@'127.0.0.1' IDENTIFIED BY '{}'; GRANT ALL ON *.* TO backup@'127.0.0.1';".format(quoted))
        yield port, sql
    finally:
        process.terminate()
        process.wait()
