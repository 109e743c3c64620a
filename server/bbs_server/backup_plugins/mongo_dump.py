# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""MongoDB dumps before a backup (admin-api.md §7)."""

from __future__ import annotations

from bbs_server.backup_plugins import rules
from bbs_server.backup_plugins.schema import Option, Plugin, dump_options

PLUGIN = Plugin(
    identifier=3,
    slug="mongo_dump",
    name="MongoDB dump",
    description="Dumps MongoDB databases on the client with mongodump before borg runs.",
    dump_option="dump_dir",
    fields={
        "host": Option(kind="text", label="Host", default="127.0.0.1"),
        "port": Option(kind="number", label="Port", default=27017, rule=rules.PORT),
        "user": Option(kind="text", label="User", default="", help="Empty: no authentication."),
        "password": Option(kind="text", label="Password", sensitive=True),
        "auth_db": Option(kind="text", label="Authentication database", default="admin"),
        **dump_options(dump_dir="/home/bbs/mongodump", excluded=["admin", "config", "local"], extra_options=""),
    },
)
