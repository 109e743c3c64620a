# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agent tells the server about its machine (agent-protocol.md §5.1)."""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import uuid
from functools import lru_cache
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from . import VERSION
from .files import read_text

BORG_PLACES = ("/usr/local/bin/borg", "/usr/bin/borg", "/opt/homebrew/bin/borg", "~/.local/bin/borg")
PACKAGE_PLACES = ("/usr/bin/", "/bin/")


def find_borg() -> Optional[str]:
    """The absolute path of borg, in the order of agent-protocol.md §7, or None."""
    for place in BORG_PLACES:
        path = os.path.expanduser(place)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return shutil.which("borg")


def borg_version(borg: Optional[str]) -> Optional[str]:
    """`1.2.4`, or None when there is no borg or it does not start."""
    try:
        return _version_of(borg, os.stat(borg).st_mtime) if borg is not None else None
    except OSError:
        return None


@lru_cache(maxsize=None)
def _version_of(borg: str, _changed: float) -> Optional[str]:
    """Ask the program itself; once for each time the file changes, since it takes a while."""
    try:
        answer = subprocess.check_output(
            [borg, "--version"], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    words = answer.decode("utf-8", "replace").split()
    return words[-1] if words else None


def facts(server_url: str, auto_update: bool, borg_source: Optional[str] = None) -> Dict[str, Any]:
    """The body of a register or info request; what cannot be found out is left out.

    `borg_source`: where borg was last updated from, `official` or `server`.
    """
    borg = find_borg()
    version = borg_version(borg)
    known = {
        "hostname": socket.gethostname(),
        "ip_address": own_address(server_url),
        "os_info": os_info(),
        "agent_version": VERSION,
        "borg_version": version,
        "borg_install_method": install_method(borg) if version else "unknown",
        "borg_source": borg_source or "unknown",
        "borg_binary_path": borg,
        "glibc_version": glibc_version(),
        "platform": sys.platform.rstrip("0123456789"),
        "architecture": architecture(),
        "mac_address": mac_address(),
        "auto_update_enabled": auto_update,
        "in_container": in_container(),
    }
    return {name: value for name, value in known.items() if value is not None}


def own_address(server_url: str) -> Optional[str]:
    """The address this machine uses towards the server; nothing is sent to find out."""
    parts = urlsplit(server_url)
    try:
        port = parts.port or 443
        family, kind, _proto, _name, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, ValueError, UnicodeError):
        return None


def os_info() -> str:
    """`Debian GNU/Linux 12 (bookworm) x86_64`."""
    release = read_text("/etc/os-release") or ""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)"?', release, re.MULTILINE)
    name = found.group(1) if found else "{} {}".format(platform.system(), platform.release())
    return "{} {}".format(name, platform.machine())


def install_method(borg: Optional[str]) -> str:
    """How borg came here: `package`, `binary` (one self-contained file), `pip` or `unknown`."""
    if borg is None:
        return "unknown"
    if borg.startswith(PACKAGE_PLACES):
        return "package"
    try:
        with open(borg, "rb") as program:
            start = program.read(4)
    except OSError:
        return "unknown"
    return {b"\x7fELF": "binary"}.get(start, "pip" if start.startswith(b"#!") else "unknown")


def glibc_version() -> Optional[str]:
    """`glibc236`, the form in which borg's own binaries are named; None on musl and others."""
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None
    found = re.match(r"glibc (\d+)\.(\d+)", library or "")
    return "glibc{}{}".format(*found.groups()) if found else None


def architecture() -> str:
    """`x86_64` or `arm64`, whatever the kernel calls it."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)


def mac_address() -> Optional[str]:
    """`02:fc:00:00:00:01` of some network card; None when Python had to invent one."""
    number = uuid.getnode()
    # A made-up address has the multicast bit set (RFC 4122 §4.5).
    if number >> 40 & 1:
        return None
    text = "{:012x}".format(number)
    return ":".join(text[at : at + 2] for at in range(0, 12, 2))


def in_container() -> bool:
    """Whether this looks like a container, where a package must not replace itself."""
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return True
    try:
        with open("/proc/1/environ", "rb") as environ:
            return b"\0container=" in b"\0" + environ.read()
    except OSError:
        return False
