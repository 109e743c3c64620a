# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""MySQL and MariaDB dumps before a backup (admin-api.md §7)."""

from __future__ import annotations

from bbs_server.backup_plugins.schema import Option, Plugin, database_dump_options

PLUGIN = Plugin(
    identifier=1,
    slug="mysql_dump",
    name="MySQL dump",
    description="Dumps MySQL or MariaDB databases on the client before borg runs, so that the archive holds them.",
    dump_option="dump_dir",
    fields=database_dump_options(
        port=3306,
        dump_dir="/home/bbs/mysql",
        excluded=["information_schema", "performance_schema", "sys"],
        extra_options="--single-transaction --quick --routines --triggers --events",
    )
    | {"per_database": Option(kind="checkbox", label="One file per database", default=True)},
)
