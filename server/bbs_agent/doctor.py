# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bbs-agent doctor`: what is wrong, in plain words, and what to do about it."""

import calendar
import platform
import socket
import time
from typing import Callable, List, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from . import VERSION
from .api import Api, ApiError, Reply
from .config import Config, ConfigError, load_config
from .service import status
from .ssh import Ssh, SshProblem
from .system import borg_version, find_borg, in_container

OLDEST_BORG = (1, 1)
MOST_SKEW = 60
CONNECT_TIMEOUT = 10.0


class Finding(NamedTuple):
    """One line of the doctor's answer; `advice` is empty when all is well."""

    subject: str
    text: str
    advice: str = ""

    @property
    def line(self) -> str:
        """`ok       borg: …` or `problem  borg: …; do this`."""
        if not self.advice:
            return "ok       {}: {}".format(self.subject, self.text)
        return "problem  {}: {}; {}".format(self.subject, self.text, self.advice)


def examine(path: str, environ: Mapping[str, str], now: Callable[[], float] = time.time) -> List[Finding]:
    """Look at everything a backup needs, in the order in which it is needed.

    What cannot be told because something before it is broken is left out.
    """
    findings = [Finding("agent", "version {}, Python {}".format(VERSION, platform.python_version())), _borg()]
    try:
        config = load_config(path, environ, in_container())
    except ConfigError as error:
        return findings + [Finding("config", str(error), "run the installer again with --server and --key")]
    findings.append(Finding("config", "{} names {}".format(path, config.url)))
    network = _network(config.url)
    findings += network
    if any(finding.advice for finding in network):
        return findings
    return findings + _server(config, now) + _ssh(config) + [_process(config)]


def _borg() -> Finding:
    path = find_borg()
    if path is None:
        return Finding("borg", "not found", "install the package borgbackup (or borg) of your distribution")
    version = borg_version(path)
    if version is None:
        return Finding("borg", "{} does not start".format(path), "reinstall it")
    text = "{} is version {}".format(path, version)
    try:
        too_old = tuple(int(part) for part in version.split(".")[:2]) < OLDEST_BORG
    except ValueError:
        too_old = False
    return Finding("borg", text, "version 1.1 or newer is needed" if too_old else "")


def _network(url: str) -> List[Finding]:
    """Name resolution and a plain TCP connection."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError, UnicodeError) as error:
        text = "{} has no address ({})".format(parts.hostname, error)
        return [Finding("name", text, "correct the server's name in config.ini or the DNS of this machine")]
    found = sorted({str(address[4][0]) for address in addresses})
    findings = [Finding("name", "{} is {}".format(parts.hostname, ", ".join(found)))]
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_TIMEOUT).close()
    except OSError as error:
        text = "no connection to {} port {} ({})".format(parts.hostname, port, error)
        return findings + [Finding("network", text, "check that the server runs and no firewall is between")]
    return findings + [Finding("network", "port {} accepts connections".format(port))]


def _server(config: Config, now: Callable[[], float]) -> List[Finding]:
    """TLS, the key, and whether the clocks agree."""
    try:
        reply = Api(config.url, config.api_key, config.ca_file).heartbeat()
    except ApiError as error:
        return [Finding("server", str(error), "run the installer again with the right --server and --key")]
    findings = [Finding("server", "it knows this agent's key")]
    skew = _skew(reply, now())
    if skew is not None:
        text = "{:.0f} s away from the server's".format(abs(skew))
        wrong = abs(skew) > MOST_SKEW
        findings.append(Finding("clock", text, "set it, best by NTP (chrony, timesyncd)" if wrong else ""))
    return findings


def _skew(reply: Reply, now: float) -> Optional[float]:
    """Seconds this machine's clock is ahead; None when the reply has no usable UTC time."""
    try:
        server = time.strptime(str(reply.get("server_time"))[:19].replace("T", " "), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    return now - calendar.timegm(server)


def _ssh(config: Config) -> List[Finding]:
    ssh = Ssh(config.layout)
    if ssh.access is None or not ssh.has_key:
        advice = "start the agent, it fetches them (bbs-agent start, or systemctl start bbs-agent)"
        return [Finding("ssh", "the agent has no key or no coordinates yet", advice)]
    place = "{}@{} port {}".format(ssh.access.user, ssh.access.host, ssh.access.port)
    try:
        ssh.ping()
    except SshProblem as error:
        return [Finding("ssh", str(error), "check that port {} is reachable".format(ssh.access.port))]
    verified = "host key verified" if ssh.access.host_keys else "host key not verified"
    return [Finding("ssh", "{} answers, {}".format(place, verified))]


def _process(config: Config) -> Finding:
    found = status(config.layout)
    advice = "" if found.online else "see {}".format(config.layout.log)
    return Finding("process", found.text, advice)
