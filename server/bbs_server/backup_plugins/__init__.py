# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup plugins: one file each, with what can be configured and how the server treats it."""

from __future__ import annotations

from bbs_server.backup_plugins import mongo_dump, mysql_dump, pg_dump, s3_sync, shell_hook
from bbs_server.backup_plugins.schema import Plugin

PLUGINS: dict[str, Plugin] = {
    plugin.slug: plugin
    for plugin in (
        mongo_dump.PLUGIN,
        mysql_dump.PLUGIN,
        pg_dump.PLUGIN,
        s3_sync.PLUGIN,
        shell_hook.PLUGIN,
    )
}
"""All plugins by slug, in the order of their names (admin-api.md §5.6)."""
