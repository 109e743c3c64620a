# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`mongo_dump`: MongoDB, one directory per database."""

import json
import os
import shutil
from typing import List, Optional
from urllib.parse import quote

from .base import PluginError
from .dump_files import ALL, DumpFiles, file_name
from .dumps import DatabaseDump, Wanted

LIST = "print(JSON.stringify(db.adminCommand({listDatabases: 1}).databases.map(d => d.name)))"


class MongoDump(DatabaseDump):
    """Logging in is optional; the password stands in 0600 files only, never in an argument."""

    label = "MongoDB Dump"
    slug = "mongo_dump"
    default_port = 27017
    default_dump_dir = "/home/bbs/mongodump"
    default_excludes = ["admin", "config", "local"]
    own_databases = ["admin", "config", "local"]

    def require_login(self) -> None:
        if self.user and not self.password:
            raise PluginError("the plugin config has a user but no password")

    def existing(self) -> List[str]:
        shell = next((name for name in ("mongosh", "mongo") if shutil.which(name)), None)
        if shell is None:
            raise PluginError("neither mongosh nor mongo is installed; name the databases in the plugin config")
        script = "db = connect({});\n{};\n".format(json.dumps(self._uri()), LIST)
        with self.scope.private_file("list.js", script) as path:
            lines = self.query([shell, "--quiet", "--nodb", path], self.scope.host.environment())
        try:
            return [str(name) for name in json.loads(lines[-1])]
        except (ValueError, IndexError, TypeError):
            raise PluginError("{} gave no list of databases".format(shell)) from None

    def dump(self, database: Optional[str]) -> str:
        target = os.path.join(self.dump_dir, file_name(database or ALL))
        # mongodump makes <out>/<database> by itself.
        words = ["--out=" + (target if database is None else self.dump_dir)]
        if database is not None:
            words.append("--db=" + database)
        if self.compress:
            words.append("--gzip")
        self._tool("mongodump", words + self.options())
        return target

    def restore(self, files: DumpFiles, wanted: Wanted) -> None:
        """Collections of the dump take the place of those of the same name; other collections stay."""
        parent = files.parent_of(wanted.database)
        self.refuse(wanted)
        words = ["--dir=" + parent, "--nsInclude=" + _namespace(wanted.database)]
        if wanted.replaces:
            words.append("--drop")
        else:
            words += ["--nsFrom=" + _namespace(wanted.database), "--nsTo=" + _namespace(wanted.target)]
        if any(name.endswith(".gz") for name in os.listdir(os.path.join(parent, file_name(wanted.database)))):
            words.append("--gzip")
        self._tool("mongorestore", words)

    def refuse(self, wanted: Wanted) -> None:
        for name in (wanted.database, wanted.target):
            if "*" in name or "." in name:
                raise PluginError("mongorestore cannot tell {!r} from a pattern".format(name))
        if not wanted.replaces or wanted.target in self.own_databases:
            super().refuse(wanted)

    def _tool(self, program: str, words: List[str]) -> None:
        argv = [program, "--host=" + self.host, "--port={}".format(self.port)]
        if not self.user:
            self.query(argv + words, self.scope.host.environment())
            return
        argv += ["--username=" + self.user, "--authenticationDatabase=" + self._auth_db()]
        # A JSON text is valid YAML, which is what --config wants.
        with self.scope.private_file("login.yml", "password: " + json.dumps(self.password) + "\n") as path:
            self.query([*argv, "--config=" + path, *words], self.scope.host.environment())

    def _auth_db(self) -> str:
        return str(self.config.get("auth_db") or "admin")

    def _uri(self) -> str:
        login = ""
        if self.user:
            login = "{}:{}@".format(quote(self.user, safe=""), quote(self.password, safe=""))
        return "mongodb://{}{}:{}/admin?authSource={}".format(
            login, self.host, self.port, quote(self._auth_db(), safe="")
        )


def _namespace(database: str) -> str:
    """Every collection of a database, as mongorestore writes it."""
    return database + ".*"
