# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server has: clients and what belongs to them, the queue, storage, plugins (admin-api.md §5)."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping

from ansible_collections.borgfleet.bbs.plugins.module_utils._client import ApiClient
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import slug
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object, find_client, written
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result, Task

Objects = List[Object]
LONGEST_PAGE = 200
_SECRET_KEYS = frozenset({"api_key", "install_command", "passphrase"})


class Info:
    """What one task asks for. Clients are read once, whatever hangs on them."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.api: ApiClient = task.api
        self.clients = self.read_clients() if self.needs_clients() else []

    def run(self) -> Result:
        return {
            "changed": False,
            **{subject: READERS[subject](self) for subject in self.task.params["gather"]},
        }

    def needs_clients(self) -> bool:
        return bool(set(self.task.params["gather"]) - SERVER_WIDE)

    def read_clients(self) -> Objects:
        name = self.task.params["client"]
        if name is None:
            listed = self.api.get_list("/clients", "clients")
        else:
            found = find_client(self.api, name)
            listed = [] if found is None else [found]
        return [without_secrets(client) for client in listed]

    def of_clients(self, path: str, items: str, query: Mapping[str, Any] | None = None) -> Objects:
        """A list of every client, each entry with the client's name."""
        return [
            {**item, "client": client["name"]}
            for client in self.clients
            for item in self.api.get_list(f"/clients/{client['id']}/{path}", items, query)
        ]

    def repositories(self) -> Objects:
        given = self.task.params["repository"]
        wanted = None if given is None else slug(written("repository", given))
        found = self.of_clients("repositories", "repositories", _named(wanted))
        return [item for item in found if wanted in (None, item["name"])]

    def plans(self) -> Objects:
        wanted = self.task.params["plan"]
        found = self.of_clients("plans", "plans", _named(wanted))
        return [item for item in found if wanted in (None, item["name"])]

    def plugin_configs(self) -> Objects:
        wanted = self.task.params["plugin"]
        found = self.of_clients("plugin-configs", "plugin_configs", wanted and {"plugin": wanted})
        return [item for item in found if wanted in (None, item["slug"])]

    def jobs(self) -> Objects:
        """The latest jobs. Asked for by one status each, which also older servers understand (admin-api.md §5.5)."""
        statuses, plan, limit = (self.task.params[name] for name in ("status", "plan", "limit"))
        page = {"limit": limit if plan is None else LONGEST_PAGE}
        queries = [{**page, "status": status} for status in statuses or ()] or [page]
        found = [job for query in queries for job in self.of_clients("jobs", "jobs", query)]
        chosen = [job for job in found if plan in (None, job["plan_name"])]
        return sorted(chosen, key=lambda job: int(job["id"]), reverse=True)[:limit]

    def archives(self) -> Objects:
        by_name = {client["name"]: client["id"] for client in self.clients}
        return [
            {**archive, "client": repository["client"], "repository": repository["name"]}
            for repository in self.repositories()
            for archive in self.api.get_list(
                f"/clients/{by_name[repository['client']]}/repositories/{repository['id']}/archives", "archives"
            )
        ]


def without_secrets(client: Object) -> Object:
    """A client without the key of its agent."""
    return {key: value for key, value in client.items() if key not in _SECRET_KEYS}


def _named(name: str | None) -> dict[str, str] | None:
    """Narrows a list where the server filters; others answer with everything."""
    return None if name is None else {"name": name}


READERS: Mapping[str, Callable[[Info], Any]] = {
    "clients": lambda info: info.clients,
    "repositories": Info.repositories,
    "plans": Info.plans,
    "plugin_configs": Info.plugin_configs,
    "jobs": Info.jobs,
    "archives": Info.archives,
    "queue": lambda info: info.api.get_list("/queue", "queue"),
    "storage": lambda info: info.api.get("/storage"),
    "plugins": lambda info: info.api.get_list("/plugins", "plugins"),
}
SERVER_WIDE = frozenset({"queue", "storage", "plugins"})
STATUSES = ["queued", "sent", "running", "completed", "failed", "cancelled"]


def perform(task: Task) -> Result:
    if not 1 <= task.params["limit"] <= LONGEST_PAGE:
        raise InvalidOption(f"limit must be from 1 to {LONGEST_PAGE}.")
    return Info(task).run()


MODULE = Module(
    name="bbs_info",
    options={
        "gather": {"type": "list", "elements": "str", "choices": list(READERS), "default": ["clients"]},
        "client": {"type": "str"},
        "repository": {"type": "str"},
        "plan": {"type": "str"},
        "plugin": {"type": "str"},
        "status": {"type": "list", "elements": "str", "choices": STATUSES},
        "limit": {"type": "int", "default": 50},
    },
    perform=perform,
)
