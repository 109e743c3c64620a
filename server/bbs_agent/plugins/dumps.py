# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the database plugins share: choosing databases, dumping to files, removing them again, restoring."""

import gzip
import os
import shlex
import shutil
import tempfile
from abc import abstractmethod
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional

from ..cancel import CancelToken
from ..process import Finished, Runner, Sink
from .base import Plugin, PluginError, PluginScope, names, number, truth
from .dump_files import ALL, DumpFiles, file_name

FASTEST_USEFUL_LEVEL = 6
TIDY_TIMEOUT = 60.0
# Unfinished dumps and restores in the dump directory; only one task runs at a time.
OURS = ".bbs-"


class Wanted(NamedTuple):
    """One database to restore: where to, and whether it takes the place of one that is there."""

    database: str
    target: str
    replaces: bool


class DatabaseDump(Plugin):
    """Dumps to `<dump_dir>/<database>.sql[.gz]`; subclasses know the engine's programs."""

    slug = ""
    default_port = 0
    default_dump_dir = ""
    default_excludes: List[str] = []
    own_databases: List[str] = []
    default_options = ""

    def __init__(self, entry: Dict[str, Any], scope: PluginScope) -> None:
        super().__init__(entry, scope)
        self.host = str(self.config.get("host") or "localhost")
        self.port = number(self.config.get("port"), self.default_port)
        self.user = str(self.config.get("user") or "")
        self.password = str(self.config.get("password") or "")
        self.dump_dir = str(self.config.get("dump_dir") or self.default_dump_dir)
        self.compress = truth(self.config.get("compress"), True)
        self.per_database = truth(self.config.get("per_database"), True)
        self._dumped: List[str] = []
        self._made: List[str] = []

    def pre(self) -> str:
        self.require_login()
        self._sweep()
        self._dumped = self._chosen()
        if self.per_database:
            for database in self._dumped:
                self.scope.job.say("{}: dumping {}".format(self.label, database))
                self._made.append(self.dump(database))
        else:
            self._made.append(self.dump(None))
        return "{}: dumped {} to {}".format(self.label, ", ".join(self._dumped), self.dump_dir)

    def clean_up(self) -> str:
        if not truth(self.config.get("cleanup_after"), True):
            return ""
        for path in self._made:
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
        return "{}: removed {} dump(s) from {}".format(self.label, len(self._made), self.dump_dir)

    def test(self) -> str:
        self.require_login()
        return "{}: connected; databases: {}".format(self.label, ", ".join(self.existing()) or "none")

    def database_group(self) -> Optional[Dict[str, Any]]:
        if not self._made:
            return None
        return {
            "config_id": self.entry.get("config_id"),
            "config_name": self.entry.get("config_name"),
            "engine": self.slug,
            "dump_dir": self.dump_dir,
            "databases": self._dumped,
            "per_database": self.per_database,
            "compress": self.compress,
        }

    def require_login(self) -> None:
        """Raise PluginError when the config lacks what the engine needs to log in."""
        if not self.user or not self.password:
            raise PluginError("user and password must be set in the plugin config")

    @contextmanager
    def workspace(self) -> Iterator[str]:
        """A 0700 directory to extract dumps into, where there is room for dumps; gone afterwards."""
        made = not os.path.exists(self.dump_dir)
        self._sweep()
        place = tempfile.mkdtemp(prefix=OURS, dir=self.dump_dir)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
            if made:
                with suppress(OSError):
                    os.rmdir(self.dump_dir)

    def refuse(self, wanted: Wanted) -> None:
        """Raise PluginError for what must not be restored over: the server's own databases, or any other."""
        if not wanted.replaces and wanted.target in self.existing():
            raise PluginError("there is a database {} already".format(wanted.target))
        if wanted.replaces and wanted.target in self.own_databases:
            raise PluginError("it is the server's own; restore its dump as a file, or under another name")

    @abstractmethod
    def restore(self, files: DumpFiles, wanted: Wanted) -> None:
        """Load one database from its dump. Raises PluginError, Cancelled, OSError."""

    @abstractmethod
    def existing(self) -> List[str]:
        """The databases of the server, unfiltered."""

    @abstractmethod
    def dump(self, database: Optional[str]) -> str:
        """Dump one database, or with None the whole server; returns the path that was made."""

    def options(self) -> List[str]:
        """`extra_options`, split like a shell does."""
        try:
            return shlex.split(str(self.config.get("extra_options", self.default_options) or ""))
        except ValueError as error:
            raise PluginError("extra_options cannot be split into words: {}".format(error)) from error

    def query(self, argv: List[str], env: Dict[str, str]) -> List[str]:
        """Run a client program; its output lines."""
        complaints: List[str] = []
        done = self._start(argv, env, complaints, None)
        return [line for line in done.output.splitlines() if line.strip()]

    def to_file(self, database: Optional[str], argv: List[str], env: Dict[str, str]) -> str:
        """Write a dump program's output to its file: 0600, and under its name only when whole."""
        name = file_name(database or ALL) + (".sql.gz" if self.compress else ".sql")
        path = os.path.join(self.dump_dir, name)
        handle, temporary = tempfile.mkstemp(prefix=OURS, dir=self.dump_dir)
        try:
            with os.fdopen(handle, "wb") as stream:
                if self.compress:
                    with gzip.GzipFile(
                        filename="", mode="wb", compresslevel=FASTEST_USEFUL_LEVEL, fileobj=stream, mtime=0
                    ) as packed:
                        self._start(argv, env, [], packed)
                else:
                    self._start(argv, env, [], stream)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        return path

    def load(self, argv: List[str], env: Dict[str, str], source: Iterable[bytes]) -> None:
        """Run a client program that reads SQL from its standard input."""
        self._start(argv, env, [], None, source)

    def tidy(self, argv: List[str], env: Dict[str, str]) -> None:
        """Run a client program to undo something, even when the job was cancelled; failing is no news."""
        Runner(CancelToken(), self.scope.host.timing.kill_grace).script(argv, env, TIDY_TIMEOUT)

    def _start(
        self,
        argv: List[str],
        env: Dict[str, str],
        complaints: List[str],
        sink: Optional[Sink],
        source: Optional[Iterable[bytes]] = None,
    ) -> Finished:
        try:
            done = self.scope.job.runner().pipe(argv, env, complaints.append, sink, source=source)
        except FileNotFoundError:
            raise PluginError("{} is not installed on this machine".format(argv[0])) from None
        if done.code != 0:
            reason = "; ".join(complaints[-5:]) or "no reason given"
            raise PluginError("{} failed with exit code {}: {}".format(argv[0], done.code, reason))
        return done

    def _sweep(self) -> None:
        """Make the dump directory, or rid it of what an agent that was killed has left there."""
        if not os.path.isabs(self.dump_dir):
            raise PluginError("dump_dir {!r} is not an absolute path".format(self.dump_dir))
        os.makedirs(self.dump_dir, mode=0o700, exist_ok=True)
        for name in os.listdir(self.dump_dir):
            path = os.path.join(self.dump_dir, name)
            if name.startswith(OURS) and os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            elif name.startswith(OURS):
                os.unlink(path)

    def _chosen(self) -> List[str]:
        wanted = names(self.config.get("databases"), ["*"])
        if "*" not in wanted and wanted:
            return wanted
        excluded = names(self.config.get("exclude_databases"), self.default_excludes)
        chosen = [database for database in self.existing() if database not in excluded]
        if not chosen:
            raise PluginError("there is no database to dump")
        return chosen
