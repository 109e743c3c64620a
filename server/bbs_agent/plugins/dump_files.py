# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps that came out of an archive: finding the one of a database, and reading that database alone."""

import gzip
import os
import re
from typing import IO, Callable, Iterable, Iterator, List, Optional, Union, cast

from .base import PluginError

ALL = "all_databases"
ENDINGS = (".sql.gz", ".sql")
Lines = Iterator[bytes]
# Chooses one database's lines of a dump; the second argument says whether the dump holds others too.
Section = Callable[[Iterable[bytes], str, bool], Lines]

_MYSQL_USE = re.compile(rb"USE `((?:[^`]|``)+)`;\s*$")
_MYSQL_DELIMITER = re.compile(rb"DELIMITER (\S+)\s*$")
_MYSQL_WHOLE_DATABASE = re.compile(rb"(/\*!\d+ )?(CREATE|DROP) DATABASE ")
_PG_CONNECT = re.compile(rb'\\connect (?:-reuse-previous=on )?("(?:[^"]|"")+"|[^"\s]\S*)\s*$')
_PG_WHOLE_DATABASE = re.compile(rb"(CREATE|ALTER|DROP|COMMENT ON|(GRANT|REVOKE) .* ON) DATABASE ")
_PG_COPY = re.compile(rb"COPY .* FROM stdin;\s*$")
_PG_OPENING = re.compile(rb"'|\"|\$(?:[A-Za-z_][A-Za-z0-9_]*)?\$|--|/\*")


class DumpFiles:
    """The dumps below one directory, into which an archive was extracted."""

    def __init__(self, root: str) -> None:
        self._root = root

    def sql(self, database: str, section: Section) -> "SqlDump":
        """The dump of `database`: its own file, or its part of the whole server's. Raises PluginError."""
        for name, holds_others in ((file_name(database), False), (ALL, True)):
            for ending in ENDINGS:
                found = self._find(name + ending, os.path.isfile)
                if found is not None:
                    return SqlDump(found, database, section, holds_others)
        raise PluginError("the archive holds no dump of it")

    def of_whole_server(self) -> bool:
        """Whether it is one dump with all databases of a server."""
        return any(self._find(ALL + ending, os.path.exists) for ending in ("", *ENDINGS))

    def parent_of(self, database: str) -> str:
        """The directory in which mongodump left the directory of `database`. Raises PluginError."""
        found = self._find(file_name(database), _holds_bson)
        if found is None:
            raise PluginError("the archive holds no dump of it")
        return os.path.dirname(found)

    def _find(self, name: str, fits: Callable[[str], bool]) -> Optional[str]:
        """The first entry of that name, wherever the dump directory was when the archive was made."""
        for place, directories, files in os.walk(self._root):
            directories.sort()
            if name in files + directories and fits(os.path.join(place, name)):
                return os.path.join(place, name)
        return None


class SqlDump:
    """The SQL of one database in a dump file."""

    def __init__(self, path: str, database: str, section: Section, holds_others: bool) -> None:
        self._path = path
        self._database = database
        self._section = section
        self._holds_others = holds_others

    def require(self) -> None:
        """Raise PluginError unless the database is in the file: something is about to be replaced by it."""
        if self._holds_others and not any(True for _line in self.lines()):
            raise PluginError("the dump of the whole server does not hold it")

    def lines(self) -> Lines:
        """The statements that make the content of the database, and of no other."""
        with self._opened() as stream:
            # GzipFile iterates over lines of bytes too, which its type does not say.
            yield from self._section(cast(IO[bytes], stream), self._database, self._holds_others)

    def _opened(self) -> Union[IO[bytes], gzip.GzipFile]:
        return gzip.open(self._path, "rb") if self._path.endswith(".gz") else open(self._path, "rb")


def mysql_section(lines: Iterable[bytes], database: str, holds_others: bool) -> Lines:
    """What belongs to `database` in mysqldump's output, without the statements that name the database.

    The lines before the first database (character set, modes) belong to each. Inside a routine,
    between two DELIMITER lines, nothing is mysqldump's own.
    """
    wanted = database.replace("`", "``").encode("utf-8")
    preamble: List[bytes] = []
    inside = not holds_others
    begun = False
    delimiter = b";"
    for line in lines:
        changed = _MYSQL_DELIMITER.match(line)
        if changed:
            delimiter = changed.group(1)
        elif delimiter == b";" and _MYSQL_WHOLE_DATABASE.match(line):
            begun = True
            continue
        elif delimiter == b";" and _MYSQL_USE.match(line):
            begun = True
            used = _MYSQL_USE.match(line)
            inside = not holds_others or (used is not None and used.group(1) == wanted)
            if inside:
                yield from preamble
                preamble = []
            continue
        if inside:
            yield line
        elif not begun:
            preamble.append(line)


def pg_section(lines: Iterable[bytes], database: str, holds_others: bool) -> Lines:
    """What belongs to `database` in the output of pg_dump or pg_dumpall, without what names the database.

    Roles and other things of the whole server belong to none.
    """
    wanted = database.encode("utf-8")
    inside = not holds_others
    text = _PgText()
    for line in lines:
        own = text.begins_outside(line)
        connects = _PG_CONNECT.match(line) if own else None
        if connects:
            inside = not holds_others or _unquoted(connects.group(1)) == wanted
        elif inside and not (own and _PG_WHOLE_DATABASE.match(line)):
            yield line


class _PgText:
    """Follows quotes, comments and COPY data, so that a row or a function cannot pass for a command."""

    def __init__(self) -> None:
        self._closing: Optional[bytes] = None
        self._copying = False

    def begins_outside(self, line: bytes) -> bool:
        """Take the next line; whether it begins outside of any quoted text or data."""
        if self._copying:
            self._copying = line.rstrip(b"\r\n") != b"\\."
            return False
        outside = self._closing is None
        if outside and _PG_COPY.match(line):
            self._copying = True
        elif not (outside and line.startswith(b"\\")):
            self._scan(line)
        return outside

    def _scan(self, line: bytes) -> None:
        position = 0
        while position < len(line):
            if self._closing is not None:
                end = line.find(self._closing, position)
                if end < 0:
                    return
                position = end + len(self._closing)
                self._closing = None
                continue
            opening = _PG_OPENING.search(line, position)
            if opening is None or opening.group() == b"--":
                return
            position = opening.end()
            self._closing = b"*/" if opening.group() == b"/*" else opening.group()


def file_name(database: str) -> str:
    """A database's name as a file name: it stays inside the dump directory."""
    return database.replace("/", "_").replace("\0", "_").lstrip(".") or "_"


def _holds_bson(path: str) -> bool:
    """Whether mongodump has written into this directory; another one may have a database's name too."""
    return os.path.isdir(path) and any(name.endswith((".bson", ".bson.gz")) for name in os.listdir(path))


def _unquoted(name: bytes) -> bytes:
    """A database as `\\connect` names it: plain, in double quotes, or as a connection string in them."""
    if not name.startswith(b'"'):
        return name
    inner = name[1:-1].replace(b'""', b'"')
    found = re.match(rb"dbname='((?:[^'\\]|\\.)*)'$", inner)
    return re.sub(rb"\\(.)", rb"\1", found.group(1)) if found else inner
