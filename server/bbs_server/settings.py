# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's settings: one frozen object, read from one TOML file."""

from __future__ import annotations

import dataclasses
import os
import pwd
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


class SettingsError(Exception):
    """A setting is unknown, missing or of the wrong type; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything an operator can decide.

    Paths left empty follow from ``directory``; see the properties below.
    """

    directory: Path
    """Where the server keeps everything it writes."""

    listen_address: str = "127.0.0.1"
    """Address the HTTP server binds to."""

    listen_port: int = 8080
    """TCP port of the HTTP server."""

    tls_certificate: str = ""
    """PEM file with the certificate and its chain; empty: plain HTTP, on loopback or for ``trusted_proxies`` only."""

    tls_key: str = ""
    """PEM file with the certificate's key."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies that speak TLS; their ``X-Forwarded-*`` headers count, nobody else's."""

    server_url: str = ""
    """URL under which agents and operators reach the server; empty: made from address and port."""

    server_host: str = "127.0.0.1"
    """Host name or address agents use for SSH."""

    ssh_port: int = 22
    """TCP port of the sshd that serves the repositories."""

    ssh_user: str = ""
    """Account that owns the repositories; empty: the account the server runs as."""

    private_sshd: bool = False
    """Let ``bbs-server run`` start an sshd of its own on ``listen_address``:``ssh_port``."""

    ssh_host_key_files: tuple[str, ...] = ()
    """Public host keys handed to agents; empty: the private sshd's, else those in /etc/ssh."""

    database_url: str = dataclasses.field(default="", repr=False)
    """sqlite:///PATH or postgresql://USER@HOST/DATABASE; empty: an SQLite file in ``directory``."""

    database_password_file: str = ""
    """File with PostgreSQL's password; empty: it stands in the URL, in ``PGPASSWORD`` or in ``PGPASSFILE``."""

    storage_path: str = ""
    """First storage location; empty: ``repositories`` in ``directory``."""

    agent_poll_interval: int = 30
    """Seconds between two polls of an agent (10 to 300 upstream; smaller is allowed for trials)."""

    enrolment_hours: int = 168
    """Hours in which an agent has to register with a new agent key; 0: keys do not expire."""

    max_queue: int = 4
    """Backups and restores that may run at the same time, over all clients."""

    max_queue_per_location: int = 0
    """The same for each storage location, and as many of the server's own jobs besides; 0: no limit."""

    server_jobs: int = 2
    """The server's own jobs (prune, check, compact, …) that one worker does at the same time."""

    splay_minutes: int = 0
    """Minutes over which runs of the same time are spread, for plans that say nothing else; 0 starts all at once."""

    worker_interval: int = 5
    """Seconds between two rounds of the worker."""

    lease_seconds: int = 60
    """Seconds without a sign of life after which a worker's work is given to another."""

    retry_delay_seconds: int = 300
    """Seconds before a job that fell silent is tried again; doubled each time, up to an hour."""

    job_retention_days: int = 30
    """Days that ended jobs are kept, with their logs; 0 keeps them for ever."""

    log_retention_days: int = 365
    """Days that entries of the audit log are kept; 0 keeps them for ever."""

    web_processes: int = 2
    """Processes that answer HTTP."""

    web_threads: int = 8
    """Threads in each of them."""

    trash_days: int = 7
    """Days that deleted repositories stay in the trash before they are erased; 0 erases at once."""

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return self.server_url.rstrip("/") or f"{self.scheme}://{_in_url(self.listen_address)}:{self.listen_port}"

    @property
    def scheme(self) -> str:
        """``https`` when the server itself speaks TLS."""
        return "https" if self.tls_certificate else "http"

    @property
    def account(self) -> str:
        """Name of the account in repository URLs."""
        return self.ssh_user or pwd.getpwuid(os.geteuid()).pw_name

    @property
    def database(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{self.directory / 'bbs.sqlite'}"

    @property
    def storage(self) -> Path:
        """Directory of the first storage location."""
        return Path(self.storage_path) if self.storage_path else self.directory / "repositories"

    @property
    def key_file(self) -> Path:
        """File with the keys that seal secrets in the database."""
        return self.directory / "secret.keys"

    @property
    def run_directory(self) -> Path:
        """Pid files and sockets."""
        return self.directory / "run"

    @property
    def temporary_directory(self) -> Path:
        """Temporary folders (``temporary``); what killed processes leave there is removed."""
        return self.directory / "tmp"

    @property
    def log_directory(self) -> Path:
        """Log files of detached processes."""
        return self.directory / "log"

    @property
    def ssh_directory(self) -> Path:
        """Authorized keys, the gate's list of locations, the private sshd's files."""
        return self.directory / "ssh"

    @property
    def borg_directory(self) -> Path:
        """Borg's own state (``BORG_BASE_DIR``) for server-side commands."""
        return self.directory / "borg"

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a settings file.

        :param file: a TOML file; ``directory`` defaults to the folder it lies in.
        :raises SettingsError: unreadable file, unknown key, wrong type.
        """
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"Cannot read the settings file {file}: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"The settings file {file} is not valid TOML: {error}.") from error
        values.setdefault("directory", str(file.resolve().parent))
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Check names and types, then build the object.

        :raises SettingsError: naming the key, what was wrong and what is allowed.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise SettingsError(f"Unknown setting {name!r}. Known settings: {', '.join(sorted(known))}.")
            _check_type(name, str(known[name].type), value)
        if "directory" not in values:
            raise SettingsError("The setting 'directory' is missing: name a folder for the server's data.")
        return cls(**(values | {"directory": Path(values["directory"]).absolute()} | _tuples(values)))


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_TYPES: dict[str, tuple[type, str]] = {
    "Path": (str, "text"),
    "str": (str, "text"),
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "tuple[str, ...]": (list, "a list of texts"),
}


_PORTS = (1, 65_535)
_MOST = 100_000
_BOUNDS = {
    "listen_port": _PORTS,
    "ssh_port": _PORTS,
    "agent_poll_interval": (1, 3600),
    "max_queue": (1, _MOST),
    "server_jobs": (1, 100),
    "splay_minutes": (0, 24 * 60),
    "worker_interval": (1, 3600),
    "lease_seconds": (5, _MOST),
    "web_processes": (1, 1000),
    "web_threads": (1, 1000),
}
"""The least and the greatest number with which a server works; all others are from 0 to ``_MOST``."""


_FORMS = {
    "server_url": (r"(https?://[^\s/?#@]+(/[^\s?#]*)?)?", "a URL such as https://backup.example.com"),
    "server_host": (r"[\w.:-]+", "a host name or an address"),
}
"""Texts that stand in what agents are told."""


def _check_type(name: str, declared: str, value: Any) -> None:
    expected, description = _TYPES[declared]
    right = isinstance(value, expected | Path if declared == "Path" else expected)
    if expected is int:
        least, most = _BOUNDS.get(name, (0, _MOST))
        right = right and not isinstance(value, bool) and least <= value <= most
        description = f"a whole number from {least} to {most}"
    if right and name in _FORMS:
        pattern, description = _FORMS[name]
        right = re.fullmatch(pattern, value, re.ASCII) is not None
    if expected is list:
        right = right and all(isinstance(item, str) for item in value)
    if not right:
        raise SettingsError(f"The setting {name!r} must be {description}.")


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
