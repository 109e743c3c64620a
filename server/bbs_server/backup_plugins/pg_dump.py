# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL dumps before a backup (admin-api.md §7)."""

from __future__ import annotations

from bbs_server.backup_plugins.schema import Plugin, database_dump_options

PLUGIN = Plugin(
    identifier=2,
    slug="pg_dump",
    name="PostgreSQL dump",
    description="Dumps PostgreSQL databases on the client before borg runs, so that the archive holds them.",
    dump_option="dump_dir",
    fields=database_dump_options(
        port=5432,
        dump_dir="/home/bbs/pgdump",
        excluded=["template0", "template1", "postgres"],
        extra_options="--no-owner --no-privileges",
    ),
)
