# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private database servers on loopback, for as long as a `with` block lasts."""

import getpass
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

PASSWORD = "p\"a's s\\w#rd"


@contextmanager
def open_directory():
    """A directory that the database's user may enter; pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="bbs-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def config_for(port, dump_dir, **more):
    """A database plugin's config that reaches one of the servers below."""
    login = {"host": "127.0.0.1", "port": port, "user": "backup", "password": PASSWORD, "dump_dir": str(dump_dir)}
    return dict(login, **more)


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


def _listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _accepting(port):
    """PostgreSQL listens before it lets anybody in."""
    return subprocess.call([program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]) == 0


def _wait_for(ready, port, process):
    deadline = time.monotonic() + 60
    while not ready(port):
        assert process.poll() is None and time.monotonic() < deadline, "the database does not start"
        time.sleep(0.05)


class Postgres:
    """A PostgreSQL server with the role backup, on loopback and on a socket in its directory."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self._as_user = _owned(directory)
        self._data = str(directory / "data")
        self._process = None
        self._create()

    def _create(self):
        password_file = self.directory / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        subprocess.run(
            [program("initdb"), "-D", self._data, "-U", "backup", "--auth=scram-sha-256", "--no-sync"]
            + ["--encoding=UTF8", "--locale=C", "--pwfile=" + str(password_file)],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as_user,
        )

    def start(self):
        self._process = subprocess.Popen(
            [program("postgres"), "-D", self._data, "-p", str(self.port), "-k", str(self.directory)]
            + ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=str(self.directory),
            **self._as_user,
        )
        _wait_for(_accepting, self.port, self._process)

    def stop(self):
        """Stop at once, whoever is connected."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def kill(self):
        """End all its processes by SIGKILL."""
        postmaster = self._process.pid
        backends = Path("/proc/{0}/task/{0}/children".format(postmaster)).read_text().split()
        for pid in [postmaster, *map(int, backends)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def sql(self, statement, database="postgres"):
        return subprocess.run(
            ["psql", "-qAt", "-h", "127.0.0.1", "-p", str(self.port), "-U", "backup", "-d", database, "-c", statement],
            env=dict(os.environ, PGPASSWORD=PASSWORD),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def url(self, database):
        """How a program reaches a database, with the password in it."""
        password = quote(PASSWORD, safe="")
        return "postgresql://backup:{}@127.0.0.1:{}/{}".format(password, self.port, database)


@contextmanager
def postgres(directory):
    """A :class:`Postgres` that runs."""
    server = Postgres(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


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
        _wait_for(_listening, port, process)
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "''")
        sql("CREATE USER backup@'127.0.0.1' IDENTIFIED BY '{}'; GRANT ALL ON *.* TO backup@'127.0.0.1';".format(quoted))
        yield port, sql
    finally:
        process.terminate()
        process.wait()
