# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to the repositories: key, known hosts and the ssh command (agent-protocol.md §6)."""

import os
import re
import shlex
import subprocess
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .config import Layout
from .files import read_json, remove, write_json, write_private

DEFAULT_PORT = 22
PING_TIMEOUT = 60
# OpenSSH learned StrictHostKeyChecking=accept-new in this version.
ACCEPT_NEW_SINCE = (7, 6)
# A dead connection ends borg after about three minutes, not never.
COMMON = (
    "BatchMode=yes",
    "LogLevel=ERROR",
    "IdentitiesOnly=yes",
    "ConnectTimeout=30",
    "ServerAliveInterval=30",
    "ServerAliveCountMax=6",
    # A connection that a person's ssh shares has another key's rights, and may outlive the command and hold its pipes.
    "ControlMaster=no",
    "ControlPath=none",
)


class SshProblem(Exception):
    """SSH to the server does not work; the text is one sentence for a person."""


class PermissionDenied(SshProblem):
    """The server's sshd did not take the key."""


class Access(NamedTuple):
    """Where this client's repositories are hosted, as register and ssh-key replies say."""

    user: str
    host: str
    port: int
    host_keys: Tuple[str, ...] = ()

    @classmethod
    def of_reply(cls, reply: Dict[str, Any]) -> Optional["Access"]:
        """Read a server reply; None when the client has no SSH account (yet).

        An upstream server sends no `ssh_host_keys`, and 2.26 may send a host with a port (§13).
        """
        user, host = reply.get("ssh_unix_user"), reply.get("server_host")
        if not user or not host:
            return None
        host, port = _split_port(str(host), _port(reply.get("ssh_port")))
        keys = reply.get("ssh_host_keys")
        usable = tuple(key for key in keys if _is_key(key)) if isinstance(keys, list) else ()
        return cls(str(user), host, port, usable)

    @property
    def known_hosts_name(self) -> str:
        """How known_hosts writes this host: `[host]:port` unless the port is 22."""
        return self.host if self.port == DEFAULT_PORT else "[{}]:{}".format(self.host, self.port)


class Ssh:
    """The files of one installation and the commands that use them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.access = Access.of_reply(read_json(layout.ssh_info) or {})

    @property
    def has_key(self) -> bool:
        """Whether a private key was downloaded before."""
        return os.path.exists(self._layout.ssh_key)

    def use(self, access: Access) -> None:
        """Remember where the repositories are and which host keys are right."""
        self.access = access
        write_json(
            self._layout.ssh_info,
            {
                "ssh_unix_user": access.user,
                "server_host": access.host,
                "ssh_port": access.port,
                "ssh_host_keys": list(access.host_keys),
            },
        )
        if access.host_keys:
            lines = ["{} {}\n".format(access.known_hosts_name, key) for key in access.host_keys]
            write_private(self._layout.known_hosts, "".join(lines))
        else:
            remove(self._layout.known_hosts)

    def store_key(self, private_key: str) -> None:
        """Keep the private key (0600). OpenSSH insists on the newline at its end."""
        write_private(self._layout.ssh_key, private_key.strip() + "\n")

    def forget(self) -> None:
        """Throw key and coordinates away, so that they are fetched again (§5.1)."""
        self.access = None
        for path in (self._layout.ssh_key, self._layout.ssh_info, self._layout.known_hosts):
            remove(path)

    def command(self) -> List[str]:
        """`ssh` with key, port and host key options for the server, without a destination."""
        access = self._known_access()
        return _ssh(self._layout.ssh_key, access.port, self._host_key_options(access))

    def borg_rsh(self) -> str:
        """BORG_RSH for server-hosted repositories; borg splits it like a shell does."""
        return _shell_line(self.command())

    def remote(self, remote_command: str) -> List[str]:
        """The argument list that runs one of the gate's commands (§6.2) on the server."""
        access = self._known_access()
        return self.command() + ["{}@{}".format(access.user, access.host), remote_command]

    def ping(self) -> None:
        """Ask the gate for `pong`. Raises PermissionDenied or SshProblem."""
        if not self.has_key:
            raise SshProblem("there is no SSH key; the server has not handed one out")
        try:
            done = subprocess.run(
                self.remote("ping"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PING_TIMEOUT,
            )
        except FileNotFoundError:
            raise SshProblem("there is no ssh program; install openssh-client") from None
        except subprocess.TimeoutExpired:
            raise SshProblem("ssh to the server did not answer in {} s".format(PING_TIMEOUT)) from None
        answer = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode == 0 and answer.endswith("pong"):
            return
        raise _problem(self._known_access(), answer, done.returncode)

    @contextmanager
    def remote_repository(self, private_key: str, task_rsh: str) -> Iterator[str]:
        """BORG_RSH for a third-party repository host (§6.4), valid inside the `with` block.

        The key exists only as a 0600 file in a 0700 directory and only for that time. Nobody hands
        out host keys of such hosts: the first one seen is remembered, a different one later refused.
        """
        os.makedirs(self._layout.private, mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="remote-", dir=self._layout.private) as directory:
            path = os.path.join(directory, "key")
            write_private(path, private_key.strip() + "\n")
            checking = "accept-new" if openssh_version() >= ACCEPT_NEW_SINCE else "no"
            options = [
                "StrictHostKeyChecking=" + checking,
                "UserKnownHostsFile=" + _quoted(self._layout.remote_known_hosts),
            ]
            yield _shell_line(_ssh(path, port_of(task_rsh), options))

    def _known_access(self) -> Access:
        if self.access is None:
            raise SshProblem("the server has not said where its repositories are")
        return self.access

    def _host_key_options(self, access: Access) -> List[str]:
        if access.host_keys:
            return [
                "StrictHostKeyChecking=yes",
                "UserKnownHostsFile=" + _quoted(self._layout.known_hosts),
                "GlobalKnownHostsFile=/dev/null",
            ]
        return ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]


def port_of(rsh: str) -> int:
    """The port in an ssh command line such as the BORG_RSH of a task; 22 when none is given."""
    try:
        words = shlex.split(rsh)
    except ValueError:
        return DEFAULT_PORT
    return _port(words[words.index("-p") + 1]) if "-p" in words[:-1] else DEFAULT_PORT


def openssh_version() -> Tuple[int, int]:
    """(9, 2) for `OpenSSH_9.2p1 …`; (0, 0) for another ssh or none."""
    try:
        done = subprocess.run(["ssh", "-V"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", done.stdout.decode("utf-8", "replace"))
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _ssh(key: str, port: int, options: List[str]) -> List[str]:
    command = ["ssh", "-i", key, "-p", str(port)]
    for option in list(options) + list(COMMON):
        command += ["-o", option]
    return command


def _shell_line(words: List[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _quoted(path: str) -> str:
    """A path for an ssh option; ssh splits UserKnownHostsFile at spaces unless it is in quotes."""
    return '"{}"'.format(path) if " " in path else path


def _split_port(host: str, port: int) -> Tuple[str, int]:
    found = re.match(r"^(\[[^\]]+\]|[^:]+):(\d+)$", host)
    if found:
        host, port = found.group(1), int(found.group(2))
    return host.strip("[]"), port


def _port(value: Any) -> int:
    try:
        return int(value or DEFAULT_PORT)
    except (TypeError, ValueError):
        return DEFAULT_PORT


def _is_key(value: Any) -> bool:
    """One line `type base64`: anything else could smuggle lines into known_hosts."""
    return isinstance(value, str) and re.match(r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\r\n]*)?$", value) is not None


def _problem(access: Access, answer: str, code: int) -> SshProblem:
    place = "{}@{} port {}".format(access.user, access.host, access.port)
    if "Permission denied" in answer:
        return PermissionDenied("ssh to {} refuses the key".format(place))
    if "Host key verification failed" in answer or "IDENTIFICATION HAS CHANGED" in answer:
        return SshProblem("ssh to {} shows another host key than the server announced".format(place))
    lines = answer.splitlines()
    reason = lines[-1] if lines else "exit code {} and no word".format(code)
    return SshProblem("ssh to {} fails: {}".format(place, reason))
