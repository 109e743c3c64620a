# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet for rows about bbs_fleet: what the inventory says of each host, and how it gets onto the server."""

from __future__ import annotations

import json
from typing import Any

import peewee
from lab import Lab

from bbs_server.app import create_app
from bbs_server.models import Client, Plan, PlanPlugin, PluginConfig, Repository
from bbs_server.runtime import EXTENSION
from bbs_server.services import plans
from bbs_server.settings import Settings

HOSTS = 1000
NAMES = [f"host{number:04}" for number in range(HOSTS)]
PLAN = {"name": "nightly", "repository": "main", "directories": ["/etc", "/home"], "plugin_configs": ["hooks"]}
HOST = {
    "name": "{{ inventory_hostname }}",
    "repositories": [{"name": "main", "encryption": "none"}],
    "plugin_configs": [{"plugin": "shell_hook", "name": "hooks", "config": {"timeout": 60}}],
    "plans": [PLAN],
}
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - borgfleet.bbs.bbs_fleet:
        url: "{{ bbs_url }}"
        token: "{{ bbs_token }}"
        hosts: "{{ groups['all'] | map('extract', hostvars, 'bbs_host') }}"
"""


def describe(lab: Lab, **host: Any) -> None:
    """Let the inventory say this of every host."""
    folder = lab.folder / "group_vars"
    folder.mkdir(exist_ok=True)
    (folder / "all.json").write_text(json.dumps({"bbs_host": host}))


def store(lab: Lab, *tables: type[peewee.Model]) -> None:
    """Put rows as of ``HOST`` into the server's database; creating them over the API has a row of its own.

    :param tables: which ones; the ids of all kinds count from 1, in the order of the hosts
    """
    run = create_app(Settings.load(lab.server.config)).extensions[EXTENSION]
    with run.database.connection_context(), run.database.atomic():
        for table, rows in _rows(run.clock()).items():
            if table in tables:
                for chunk in peewee.chunked(rows, 200):
                    table.insert_many(chunk).execute()


def _rows(now: Any) -> dict[type[peewee.Model], list[dict[str, Any]]]:
    ids = list(enumerate(NAMES, 1))
    kept = {"encryption": "none", "storage_type": "local", "storage_location": 1, "created_at": now}
    config = {"plugin": "shell_hook", "name": "hooks", "config": json.dumps({"timeout": 60}), "created_at": now}
    plan = {field: value for field, value in plans.DEFAULTS.items() if hasattr(Plan, field)}
    plan |= {"name": "nightly", "directories": "/etc\n/home", "created_at": now, "next_run": now}
    return {
        Client: [
            {"id": n, "name": name, "key_hash": f"{n}", "ssh_public_key": "", "created_at": now, "last_heartbeat": now}
            for n, name in ids
        ],
        Repository: [{"id": n, "client": n, "name": "main", "path": f"/{n}", **kept} for n, _name in ids],
        PluginConfig: [{"id": n, "client": n, **config} for n, _name in ids],
        Plan: [{"id": n, "client": n, "repository": n, **plan} for n, _name in ids],
        PlanPlugin: [{"plan": n, "plugin_config": n, "position": 0} for n, _name in ids],
    }
