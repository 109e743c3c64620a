# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bbs-agent doctor`: what is wrong, in plain words, and what to do about it."""

import calendar
import platform
import socket
import subprocess
import time
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from . import VERSION
from .api import Api, ApiError, KeyRejected, Reply, TlsProblem
from .config import Config, ConfigError, load_config
from .host import Host
from .redact import Redactor
from .seen import Seen
from .service import status
from .ssh import Ssh, SshProblem
from .system import borg_version, find_borg, in_container
from .timing import Timing

OLDEST_BORG = (1, 1)
MOST_SKEW = 60
CONNECT_TIMEOUT = 10.0
BORG_TIMEOUT = 120
# What `borg list` says without the passphrase, once it has found the repository and may read it.
LOCKED_BY_PASSPHRASE = ("passphrase", "key file", "Key file")


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
    for look in (_name, _network):
        findings.append(look(config.url))
        if findings[-1].advice:
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


def _name(url: str) -> Finding:
    parts = urlsplit(url)
    try:
        addresses = socket.getaddrinfo(parts.hostname, _port(url), type=socket.SOCK_STREAM)
    except (OSError, ValueError, UnicodeError) as error:
        text = "{} has no address ({})".format(parts.hostname, error)
        return Finding("name", text, "correct the server's name in config.ini or the DNS of this machine")
    found = sorted({str(address[4][0]) for address in addresses})
    return Finding("name", "{} is {}".format(parts.hostname, ", ".join(found)))


def _network(url: str) -> Finding:
    host, port = urlsplit(url).hostname or "", _port(url)
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT).close()
    except OSError as error:
        text = "no connection to {} port {} ({})".format(host, port, error)
        return Finding("network", text, "check that the server runs and no firewall is between")
    return Finding("network", "port {} accepts connections".format(port))


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _server(config: Config, now: Callable[[], float]) -> List[Finding]:
    """TLS, the key, and whether the clocks agree."""
    try:
        reply = Api(config.url, config.api_key, config.ca_file).heartbeat()
    except TlsProblem as error:
        advice = "check the clock of this machine ({}) and the certificate of the server"
        return [Finding("tls", str(error), advice.format(time.strftime("%Y-%m-%d %H:%M", time.gmtime(now())) + " UTC"))]
    except KeyRejected as error:
        advice = "give the client a new key on the server and run the installer again with it"
        return [_tls(config), Finding("key", str(error), advice)]
    except ApiError as error:
        return [Finding("server", str(error), "check the address in config.ini, and the server's own log")]
    whose = "the agent's own" if config.traded_key else "the one it was installed with"
    findings = [_tls(config), Finding("key", "the server knows it; it is {}".format(whose))]
    skew = _skew(reply, now())
    if skew is not None:
        text = "{:.0f} s away from the server's".format(abs(skew))
        wrong = abs(skew) > MOST_SKEW
        findings.append(Finding("clock", text, "set it, best by NTP (chrony, timesyncd)" if wrong else ""))
    return findings


def _tls(config: Config) -> Finding:
    if not config.url.startswith("https:"):
        return Finding("tls", "not used: the address begins with http://")
    return Finding(
        "tls", "the server's certificate is trusted ({})".format(config.ca_file or "the system's authorities")
    )


def _skew(reply: Reply, now: float) -> Optional[float]:
    """Seconds this machine's clock is ahead; None when the reply has no usable UTC time."""
    try:
        server = time.strptime(str(reply.get("server_time"))[:19].replace("T", " "), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    return now - calendar.timegm(server)


def _ssh(config: Config) -> List[Finding]:
    """The way to the repositories, and those that were used before."""
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
    return [Finding("ssh", "{} answers, {}".format(place, verified))] + _repositories(config, ssh)


def _repositories(config: Config, ssh: Ssh) -> List[Finding]:
    seen = Seen(config.layout.seen).repositories()
    if not seen:
        return [Finding("repository", "none was used yet, so none was looked at")]
    if find_borg() is None:
        return []
    api = Api(config.url, config.api_key, config.ca_file)
    host = Host(config.layout, api, ssh, Redactor(), Timing(), config.auto_update)
    return [_repository(repository, host.borg_environment(_UNATTENDED)) for repository in seen]


# Borg asks nobody; the passphrase comes with each task and is not kept, so it cannot be tried.
_UNATTENDED = {
    "BORG_PASSPHRASE": "none",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
}


def _repository(repository: str, env: Dict[str, str]) -> Finding:
    """Ask borg for the repository; that it wants another passphrase shows that it could read it."""
    argv = [find_borg() or "borg", "list", "--bypass-lock", "--last=1", repository]
    try:
        done = subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=BORG_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        text = "{} did not answer in {} s".format(repository, BORG_TIMEOUT)
        return Finding("repository", text, "look at the load and the disks of the server")
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == 0 or any(words in said for words in LOCKED_BY_PASSPHRASE):
        return Finding("repository", "{} can be read".format(repository))
    reason = said.splitlines()[-1] if said else "exit code {} and no word".format(done.returncode)
    return Finding("repository", "{}: {}".format(repository, reason), "see whether the server still has it")


def _process(config: Config) -> Finding:
    found = status(config.layout)
    advice = "" if found.online else "see {}".format(config.layout.log)
    return Finding("process", found.text, advice)
