# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients with a repository and a plan each, written into a server's database: making them is not what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import peewee
from live_server import LiveServer

from bbs_server import db
from bbs_server.models import Client, Plan, Repository, StorageLocation
from bbs_server.secrets import fingerprint
from bbs_server.services.plans import RETENTION
from bbs_server.settings import Settings


@contextmanager
def database(server: LiveServer) -> Iterator[db.Database]:
    """The database of a server, while it runs."""
    settings = Settings.load(server.config)
    with db.opened(settings.database, settings.database_password_file) as opened, opened.connection_context():
        yield opened


def key(number: int) -> str:
    """The agent key of a client."""
    return f"key of client {number}"


def fill(server: LiveServer, numbers: range) -> None:
    """Add the clients of these numbers: online, backed up yesterday, due tomorrow.

    :param numbers: those that follow the clients which are there, so that the database gives them out as ids
    """
    now = datetime.now(UTC).replace(microsecond=0)
    facts = {"hostname": "host", "os_info": "Debian 12", "borg_version": "1.2.4", "agent_version": "1.0"}
    times = {"next_run": now + timedelta(days=1), "next_due": now + timedelta(days=1)}
    times |= {"last_run": now - timedelta(days=1), "last_success": now - timedelta(days=1)}
    rows: dict[type[peewee.Model], list[dict[str, Any]]] = {Client: [], Repository: [], Plan: []}
    with database(server) as opened, db.writing(opened):
        place = {"encryption": "none", "storage_type": "local", "storage_location": StorageLocation.get().id}
        calendar = {"frequency": "daily", "times": "02:00", "timezone": "UTC"} | dict.fromkeys(RETENTION, 0)
        for n in numbers:
            keys = {"key_hash": fingerprint(key(n)), "ssh_public_key": "none", "last_heartbeat": now}
            rows[Client].append({"name": f"host{n:05}", "created_at": now, **keys, **facts})
            rows[Repository].append({"client": n, "name": "main", "path": f"/{n}", "created_at": now, **place})
            own = {"client": n, "repository": n, "name": "nightly", "directories": "/etc"}
            rows[Plan].append({"created_at": now, **own, **calendar, **times})
        for table, values in rows.items():
            for chunk in peewee.chunked(values, 500):
                table.insert_many(chunk).execute()
