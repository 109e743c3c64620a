# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the recordings tell of each object, so that one whose creation was left out can be made all the same."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from .recordings import Exchange

KINDS = {
    "clients": "clients",
    "repositories": "repositories",
    "plans": "plans",
    "plugin-configs": "plugin_configs",
    "plugin_configs": "plugin_configs",
    "jobs": "jobs",
    "queue": "jobs",
    "recent": "jobs",
    "tasks": "jobs",
    "archives": "archives",
    "tokens": "tokens",
    "users": "users",
    "storage": "storage",
    "local": "storage",
    "remote-ssh-configs": "remote_ssh_configs",
    "remote_ssh_configs": "remote_ssh_configs",
    "remote_ssh": "remote_ssh_configs",
}
"""The kind of object behind a part of a path, or behind the name of a list in an answer."""

_AGENT_KEYS = {"Bearer AGENT_KEY": 1, "Bearer AGENT_KEY_2": 2}


class Ref(NamedTuple):
    """A recorded object."""

    kind: str
    id: int


def refs(path: str) -> list[Ref]:
    """The objects a path names, outermost first."""
    parts = path.split("?")[0].strip("/").split("/")
    return [
        Ref(KINDS[word], int(number))
        for word, number in itertools.pairwise(parts)
        if word in KINDS and number.isdigit() and int(number)
    ]


def collection(path: str) -> str | None:
    """The kind of the collection a path ends in."""
    return KINDS.get(path.split("?")[0].rstrip("/").rsplit("/", 1)[-1])


def caller(exchange: Exchange) -> int | None:
    """The recorded id of the client whose agent sent a request."""
    return _AGENT_KEYS.get(exchange.headers.get("Authorization", ""))


class Catalogue:
    """Facts about recorded objects, from all lines that show them; what stood first counts."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self.facts: dict[Ref, dict[str, Any]] = defaultdict(dict)
        for exchange in exchanges:
            if exchange.worked:
                self._read(exchange)

    def __contains__(self, ref: Ref) -> bool:
        return ref in self.facts

    def client_of(self, ref: Ref) -> int:
        """The recorded client an object belongs to; the first one where nothing tells."""
        facts = self.facts[ref]
        return int(facts.get("client") or facts.get("agent_id") or facts.get("client_id") or 1)

    def named(self, kind: str, client: int, name: str) -> Ref | None:
        """An object of a client by its name."""
        found = (ref for ref, facts in self.facts.items() if ref.kind == kind and facts.get("name") == name)
        return next((ref for ref in found if self.client_of(ref) == client), None)

    def repository_of(self, plan: Ref) -> int | None:
        """The recorded repository of a plan, also where only the plan's jobs tell."""
        jobs = (
            facts for ref, facts in self.facts.items() if ref.kind == "jobs" and facts.get("backup_plan_id") == plan.id
        )
        told = [facts["repository_id"] for facts in (self.facts[plan], *jobs) if "repository_id" in facts]
        return told[0] if told else None

    def _read(self, exchange: Exchange) -> None:
        named, answer = refs(exchange.path), exchange.answer
        agent = caller(exchange)
        if agent:
            name = exchange.answer.get("name") if isinstance(exchange.answer, dict) else None
            self._note(Ref("clients", agent), {"name": name})
        if isinstance(exchange.body, dict) and str(exchange.body.get("job_id", "")).isdigit():
            self._note(Ref("jobs", int(exchange.body["job_id"])), {"client": agent})
        owner = agent or (named[0].id if named and named[0].kind == "clients" else None)
        for ref in named:
            self._note(ref, {"client": owner} if ref.kind != "clients" else {})
        if not isinstance(answer, dict):
            return
        for key, value in answer.items():
            if key in KINDS and isinstance(value, list):
                for item in value:
                    self._item(KINDS[key], item, owner)
        self._created(exchange, owner)
        if exchange.method == "GET" and named and "id" in answer:
            self._note(named[-1], {**answer, "client": owner})

    def _created(self, exchange: Exchange, owner: int | None) -> None:
        body = exchange.body if isinstance(exchange.body, dict) else {}
        kind = collection(exchange.path)
        if exchange.status == 201 and kind and "id" in exchange.answer:
            self._note(Ref(kind, exchange.answer["id"]), {**body, **exchange.answer, "client": owner})
        if "job_id" in exchange.answer:
            plan = next((ref.id for ref in refs(exchange.path) if ref.kind == "plans"), None)
            self._note(Ref("jobs", exchange.answer["job_id"]), {"backup_plan_id": plan, "client": owner})

    def _item(self, kind: str, item: dict[str, Any], owner: int | None) -> None:
        if "task" in item:
            self._task(item, owner)
        elif "id" in item:
            self._note(Ref(kind, item["id"]), {**item, "client": owner})

    def _task(self, task: dict[str, Any], owner: int | None) -> None:
        plan = re.search(r"::plan(\d+)-", " ".join(task.get("command", [])))
        plan_id = int(plan[1]) if plan and task["task"] == "backup" else None
        self._note(
            Ref("jobs", task["job_id"]),
            {"task_type": task["task"], "payload": task, "backup_plan_id": plan_id, "client": owner},
        )
        if plan_id:
            self._note(
                Ref("plans", plan_id),
                {
                    "name": task["plan_name"],
                    "directories": task["directories"],
                    "repository_name": task["repo_path"].rsplit("/", 1)[-1],
                    "client": owner,
                },
            )
        for plugin in task.get("plugins", []):
            config = {
                "slug": plugin["slug"],
                "name": plugin["config_name"],
                "config": plugin["config"],
                "client": owner,
            }
            self._note(Ref("plugin_configs", plugin["config_id"]), config)

    def _note(self, ref: Ref, facts: dict[str, Any]) -> None:
        known = self.facts[ref]
        known.update({key: value for key, value in facts.items() if value is not None and key not in known})
