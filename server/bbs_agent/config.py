# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`config.ini` and the directories that follow from where it lies (agent-protocol.md §3.2, §4)."""

import hashlib
import os
import shutil
from configparser import ConfigParser
from configparser import Error as IniError
from typing import Dict, Mapping, NamedTuple, Optional

from .files import read_text, remove_unfinished, replace_private, write_private

DEFAULT_PATH = "/etc/bbs-agent/config.ini"
DEFAULT_POLL_INTERVAL = 30
# What is kept of the key that was traded for `api_key` (docs/adr/0001).
TRADED_KEY = "traded_key_sha256"
SYSTEM_TAIL = os.path.join("etc", "bbs-agent", "config.ini")


class ConfigError(Exception):
    """The configuration cannot be used; the text is one sentence for a person."""


class Layout(NamedTuple):
    """Every path the agent writes to, so that an installation under a prefix stays inside it."""

    config: str
    ssh_key: str
    ssh_info: str
    known_hosts: str
    remote_known_hosts: str
    log: str
    pid: str
    state: str
    journal: str
    private: str
    child: str
    seen: str
    update: str
    borg_source: str
    borg_environment: str
    borg_base: Optional[str]

    @classmethod
    def beside(cls, config: str, environ: Mapping[str, str]) -> "Layout":
        """The layout that belongs to a config file.

        `/etc/bbs-agent/config.ini` is the system installation, `PREFIX/etc/bbs-agent/config.ini` one
        under a prefix (borg's cache and keys too stay inside). `BBS_AGENT_LOG` names another log.
        """
        config = os.path.abspath(config)
        home = os.path.dirname(config)
        prefix = config[: -len(SYSTEM_TAIL)] if config.endswith("/" + SYSTEM_TAIL) else home
        library = os.path.join(prefix, "var", "lib", "bbs-agent")
        return cls(
            config=config,
            ssh_key=os.path.join(home, "ssh_key"),
            ssh_info=os.path.join(home, "ssh_info.json"),
            known_hosts=os.path.join(home, "known_hosts"),
            remote_known_hosts=os.path.join(home, "known_hosts_remote"),
            log=environ.get("BBS_AGENT_LOG") or os.path.join(prefix, "var", "log", "bbs-agent.log"),
            pid=os.path.join(prefix, "run", "bbs-agent.pid"),
            state=os.path.join(library, "state.json"),
            journal=os.path.join(library, "journal.json"),
            private=os.path.join(library, "private"),
            seen=os.path.join(library, "seen.json"),
            child=os.path.join(library, "child.json"),
            update=os.path.join(library, "update.json"),
            borg_source=os.path.join(home, "borg_source"),
            borg_environment=os.path.join(library, "borg-environment"),
            borg_base=None if prefix == "/" else os.path.join(library, "borg"),
        )

    def sweep(self) -> None:
        """Remove what an agent that was killed has left: secrets that were on their way to a program, half a file."""
        shutil.rmtree(self.private, ignore_errors=True)
        for path in self:
            if path is not None:
                remove_unfinished(path)


class Config(NamedTuple):
    """What the agent is told by its configuration file.

    traded_key: SHA-256 of the key that `api_key` was got for; None when the server gave it to a person.
    exchange_key: whether to trade such a key for one of the agent's own.
    """

    url: str
    api_key: str
    traded_key: Optional[str]
    exchange_key: bool
    ca_file: Optional[str]
    poll_interval: int
    auto_update: bool
    layout: Layout


def config_path(given: Optional[str], environ: Mapping[str, str]) -> str:
    """The config file to use: the option, `BBS_AGENT_CONFIG`, or the system's."""
    return given or environ.get("BBS_AGENT_CONFIG") or DEFAULT_PATH


def load_config(path: str, environ: Mapping[str, str], in_container: bool) -> Config:
    """Read `config.ini`.

    Raises ConfigError when the file is missing, unreadable, not INI or lacks the server or the key.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot read {}: {}".format(path, error)) from error
    if text is None:
        raise ConfigError("there is no {}; run the installer of your server".format(path))
    parser = _parse(path, text)
    url = parser.get("server", "url", fallback="").strip().rstrip("/")
    key = parser.get("server", "api_key", fallback="").strip()
    if not url or not key:
        raise ConfigError("{} needs url and api_key in its section [server]".format(path))
    return Config(
        url=url,
        api_key=key,
        traded_key=parser.get("server", TRADED_KEY, fallback="").strip() or None,
        exchange_key=_switch(path, parser, "exchange_key", default=not in_container),
        ca_file=parser.get("server", "ca_file", fallback="").strip() or None,
        poll_interval=_poll_interval(path, parser),
        auto_update=_switch(path, parser, "auto_update", default=not in_container, word=environ.get("BBS_AUTO_UPDATE")),
        layout=Layout.beside(path, environ),
    )


def merge_config(path: str, url: str, key: str, ca_file: Optional[str]) -> bool:
    """Put server, key and CA file into `config.ini`; returns whether the file changed.

    Other keys, sections and comments of an existing file stay as they are (design.md §5), which is
    why this edits lines and does not go through ConfigParser. Without `ca_file` the line stays.
    """
    for value in (url, key, ca_file or ""):
        if "\n" in value or "\r" in value:
            raise ConfigError("a value for {} has a line break in it".format(path))
    wanted: Dict[str, Optional[str]] = {"url": url, "api_key": key}
    if ca_file:
        wanted["ca_file"] = ca_file
    existing = read_text(path)
    if existing is None:
        existing = "[server]\n\n[agent]\npoll_interval = {}\n".format(DEFAULT_POLL_INTERVAL)
    if _server_value(path, existing, "api_key") != key:
        # It is not the one that an earlier key was traded for.
        wanted[TRADED_KEY] = None
    return write_private(path, _with_server_values(existing, wanted))


def replace_key(path: str, old: str, new: str) -> None:
    """Put the key that the server gave for `old` into `config.ini`, with the digest of `old`.

    With `new` equal to `old` it writes what is there, which shows that it can. Raises ConfigError when
    the file has another key by now, OSError when it cannot be written.
    """
    text = read_text(path) or ""
    if _server_value(path, text, "api_key") != old:
        raise ConfigError("{} has another key by now".format(path))
    if new != old:
        text = _with_server_values(text, {"api_key": new, TRADED_KEY: digest_of(old)})
    replace_private(path, text)


def own_key(path: str, given: str) -> Optional[str]:
    """The key that the agent of a config file got for `given`; None when it did not trade that one."""
    try:
        text = read_text(path) or ""
    except (OSError, UnicodeDecodeError):
        return None
    if _server_value(path, text, TRADED_KEY) != digest_of(given):
        return None
    return _server_value(path, text, "api_key") or None


def digest_of(key: str) -> str:
    """SHA-256; an agent key is so long and random that nobody finds it by trying."""
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def _server_value(path: str, text: str, name: str) -> str:
    """A value of `[server]` in a text that may be no INI file yet."""
    try:
        return _parse(path, text).get("server", name, fallback="").strip()
    except ConfigError:
        return ""


def _with_server_values(text: str, wanted: Mapping[str, Optional[str]]) -> str:
    """`text` with these keys of `[server]` set, or gone (None); the section is added at the top if it is missing."""
    lines = text.splitlines()
    if not any(_section(line) == "server" for line in lines):
        lines = ["[server]", ""] + lines
    missing = {name: value for name, value in wanted.items() if value is not None}
    result = []
    section: Optional[str] = None
    for line in lines:
        section = _section(line) or section
        name = _key(line) if section == "server" else None
        if name is not None and name in wanted:
            value = missing.pop(name, None)
            # A second line of the same key would be an error for ConfigParser: drop it.
            if value is not None:
                result.append("{} = {}".format(name, _escape(value)))
        else:
            result.append(line)
    header = next(index for index, line in enumerate(result) if _section(line) == "server")
    added = ["{} = {}".format(name, _escape(value)) for name, value in missing.items()]
    result[header + 1 : header + 1] = added
    return "\n".join(result) + "\n"


def _escape(value: str) -> str:
    """ConfigParser reads `%` as the start of a reference (agent-protocol.md §4)."""
    return value.replace("%", "%%")


def _section(line: str) -> Optional[str]:
    stripped = line.strip()
    return stripped[1:-1].strip() if stripped.startswith("[") and stripped.endswith("]") else None


def _key(line: str) -> Optional[str]:
    """The key of an INI line; comments, continuation lines and blanks have none."""
    if not line.strip() or line[0] in "#; \t":
        return None
    return line.replace(":", "=", 1).split("=", 1)[0].strip().lower()


def _parse(path: str, text: str) -> ConfigParser:
    parser = ConfigParser()
    try:
        parser.read_string(text, source=path)
        for section in parser.sections():
            parser.items(section)
    except IniError as error:
        # The first line only: the rest may quote the line with the key.
        reason = str(error).splitlines()[0]
        raise ConfigError("{} is not a valid INI file: {}".format(path, reason)) from None
    return parser


def _poll_interval(path: str, parser: ConfigParser) -> int:
    try:
        seconds = parser.getint("agent", "poll_interval", fallback=DEFAULT_POLL_INTERVAL)
    except ValueError as error:
        raise ConfigError("poll_interval in {} must be a whole number".format(path)) from error
    return max(seconds, 1)


def _switch(path: str, parser: ConfigParser, name: str, default: bool, word: Optional[str] = None) -> bool:
    """A yes or no of `[agent]`; `word` (of the environment) wins over the file."""
    word = word or parser.get("agent", name, fallback="")
    if not word:
        return default
    if word.lower() not in ConfigParser.BOOLEAN_STATES:
        raise ConfigError("{} in {} must be yes or no".format(name, path))
    return ConfigParser.BOOLEAN_STATES[word.lower()]
