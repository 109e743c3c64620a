# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup plugins this agent can run, by slug (agent-protocol.md §11)."""

from typing import Dict, Type

from .base import Plugin
from .mongo_dump import MongoDump
from .mysql_dump import MysqlDump
from .pg_dump import PgDump
from .shell_hook import ShellHook

PLUGINS: Dict[str, Type[Plugin]] = {
    "shell_hook": ShellHook,
    "mysql_dump": MysqlDump,
    "pg_dump": PgDump,
    "mongo_dump": MongoDump,
}

# Attached to plans, but done by the server: nothing to run here (§11, last rows).
SERVER_SIDE = ("s3_sync",)
