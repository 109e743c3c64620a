# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our server beside the recorded one: which object here is which object there, and how missing ones are made."""

from __future__ import annotations

import itertools
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bbs_server.models import Archive, Job, Plan, PluginConfig, Repository, Token, User
from bbs_server.scheduling import states
from bbs_server.secrets import fingerprint
from bbs_server.services import tokens

from ..server.conftest import START, Server
from .catalogue import KINDS, Catalogue, Ref

NOWHERE = 900_000
"""Added to ids of objects that do not exist."""

IDS_IN_BODIES = {
    "repository_id": "repositories",
    "plugin_config_id": "plugin_configs",
    "remote_ssh_config_id": "remote_ssh_configs",
    "storage_location_id": "storage",
    "archive_id": "archives",
    "job_id": "jobs",
}

WITHOUT_REPOSITORY = ("plugin_test", "update_agent", "update_borg", "list_dir")
"""Jobs that concern a client only."""

SCHEDULE = ("frequency", "times", "day_of_week", "day_of_month")

MADE_BY_THE_SERVER = ("prune", "break_lock")
"""Jobs that follow from others; a recorded one that is missing here is a difference."""


class World:
    """A server, and what its objects are called in the recordings."""

    def __init__(self, server: Server, catalogue: Catalogue, directory: Path) -> None:
        self.server = server
        self.catalogue = catalogue
        self.ids: dict[Ref, int] = {Ref("storage", 1): 1, Ref("users", 1): 1}
        self.gone: set[Ref] = set()
        self.refused: set[Ref] = set()
        self.words: dict[str, str] = {"TOKEN": server.token}
        self.making = True
        """Whether objects that are missing are made; not for lines that upstream refused without looking for them."""
        self.never_queued: list[str] = []
        """Jobs that followed from others upstream, and that our server did not queue."""
        self.attempts = 0
        """Failed attempts with bad credentials so far."""
        self._directory = directory
        with server.run.database.connection_context():
            self._other_tokens()

    # Names here and there -------------------------------------------------------------------------------------------

    def ours(self, ref: Ref) -> int:
        """Our id of a recorded object, which is made if the line needs it, and it was never deleted."""
        if self.making and ref not in self.ids and ref in self.catalogue and ref not in self.gone:
            self.ensure(ref)
        return self.ids.get(ref, NOWHERE + ref.id)

    def recorded(self, kind: str, our_id: int) -> Ref | None:
        """The recorded object that one of ours stands for."""
        return next((ref for ref, known in self.ids.items() if ref.kind == kind and known == our_id), None)

    def bind(self, ref: Ref, our_id: int) -> None:
        self.ids[ref] = our_id
        self.gone.discard(ref)
        if ref.kind == "clients":
            key = self.server.get(f"/clients/{our_id}")["api_key"]
            self.words |= {self.key_word(ref.id): key, self.catalogue.facts[ref].get("api_key", "-"): key}

    def forget(self, ref: Ref) -> None:
        """Note that an object is deleted, with what belonged to it."""
        belonging = [
            other for other in self.ids if other.kind != "clients" and self.catalogue.client_of(other) == ref.id
        ]
        for lost in (ref, *(belonging if ref.kind == "clients" else ())):
            self.ids.pop(lost, None)
            self.gone.add(lost)

    def path(self, path: str) -> str:
        """A recorded path with our ids and tokens."""
        path, _, query = path.partition("?")
        parts = path.split("/")
        for index, (word, number) in enumerate(itertools.pairwise(parts), start=1):
            if word in KINDS and number.isdigit() and int(number):
                parts[index] = str(self.ours(Ref(KINDS[word], int(number)))).zfill(len(number))
        return "/".join(parts) + (f"?{self.text(query)}" if query else "")

    def body(self, value: Any, kind: str | None = None) -> Any:
        """A recorded body with our ids."""
        if isinstance(value, dict):
            return {
                key: self.body(inner, "plugin_configs" if kind == "plugins" else IDS_IN_BODIES.get(key, _plugins(key)))
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.body(item) for item in value]
        if kind in KINDS.values() and not isinstance(value, bool) and re.fullmatch(r"[1-9]\d*", str(value)):
            return type(value)(self.ours(Ref(str(kind), int(value))))
        return value

    def text(self, text: str) -> str:
        """A recorded header or query with our tokens and keys."""
        return re.sub(r"\w+", lambda word: self.words.get(word[0], word[0]), text)

    def same(self, key: str, recorded: dict[str, Any], ours: dict[str, Any] | None) -> bool | None:
        """Whether two members of lists are the same object; they become so where nothing speaks against it.

        :param ours: None asks whether the recorded object ought to be here; None answers that nobody knows.
        """
        kind, name = KINDS.get(key), "job_id" if key == "tasks" else "id"
        if kind is None or name not in recorded:
            return True if ours is None else _label(recorded) == _label(ours)
        ref = Ref(kind, recorded[name])
        if ours is None:
            return True if ref in self.ids or recorded.get("task_type") in MADE_BY_THE_SERVER else None
        if ref not in self.ids and self.recorded(kind, ours[name]) is None and _label(recorded) == _label(ours):
            self.ids[ref] = ours[name]
        return bool(self.ids.get(ref) == ours[name])

    # Making what is missing -----------------------------------------------------------------------------------------

    def ensure(self, ref: Ref) -> None:
        """Make an object that no replayed line has made."""
        make = {
            "clients": self._client,
            "repositories": self._repository,
            "plans": self._plan,
            "plugin_configs": self._plugin_config,
            "jobs": self._job,
            "archives": self._archive,
            "remote_ssh_configs": self._remote,
            "storage": self._location,
        }.get(ref.kind)
        if make is not None:
            made = make(ref, dict(self.catalogue.facts[ref]))
            if made is not None:
                self.bind(ref, made)

    def remove(self, ref: Ref) -> None:
        """Delete an object, as a line that was left out did."""
        client = self.ids.get(Ref("clients", self.catalogue.client_of(ref)))
        paths = {
            "clients": f"/clients/{self.ids[ref]}?force=1",
            "repositories": f"/clients/{client}/repositories/{self.ids[ref]}",
            "plans": f"/clients/{client}/plans/{self.ids[ref]}",
            "plugin_configs": f"/clients/{client}/plugin-configs/{self.ids[ref]}",
        }
        if ref.kind in paths:
            reply = self.server.call("DELETE", paths[ref.kind])
            assert reply.status_code < 300, f"{ref}: {reply.text}"
            self.forget(ref)

    def end_jobs(self, condition: Any, status: str = states.COMPLETED) -> None:
        """End active jobs, as lines that were left out did: in the order in which they were queued."""
        then = Job.queued_at
        with self.server.run.database.connection_context():
            Job.update(status=status, started_at=then, completed_at=then, duration_seconds=0).where(
                condition & Job.status.in_(states.ACTIVE)
            ).execute()

    def adopt(self, ref: Ref, job: dict[str, Any]) -> None:
        """Find our job that followed from another one, or note that there is none and make it."""
        with self.server.run.database.connection_context():
            candidates = Job.select().where(Job.task_type == job["task_type"]).order_by(Job.id)
            free = [row.id for row in candidates if self.recorded("jobs", row.id) is None]
        if free:
            self.bind(ref, free[0])
        else:
            self.never_queued.append(job["task_type"])
            self.ensure(ref)

    def activate(self, ref: Ref) -> None:
        """Let the agent have a job, as a poll that was left out did."""
        with self.server.run.database.connection_context():
            Job.update(status=states.SENT, completed_at=None).where(
                (Job.id == self.ours(ref)) & Job.status.not_in(states.OCCUPYING)
            ).execute()

    def _post(self, path: str, *bodies: dict[str, Any]) -> int:
        """Create over the API; the later bodies are tried where the server refuses the earlier ones."""
        replies: list[str] = []
        for body in bodies:
            reply = self.server.call("POST", path, body)
            if reply.status_code == 201:
                return int(reply.get_json()["id"])
            replies.append(reply.text)
        raise AssertionError(f"POST {path}: {replies}")

    def _client(self, ref: Ref, facts: dict[str, Any]) -> int:
        other = {"name": f"stand-in {ref.id}"}
        return self._post("/clients", {"name": facts.get("name", other["name"])}, other)

    def _owner(self, ref: Ref) -> int:
        return self.ours(Ref("clients", self.catalogue.client_of(ref)))

    def _repository(self, ref: Ref, facts: dict[str, Any]) -> int:
        other = {"name": f"stand-in-{ref.id}", "encryption": "none"}
        body = {"name": facts.get("name", other["name"]), "encryption": facts.get("encryption", "none")}
        if facts.get("storage_type") == "remote_ssh":
            remote = self.ours(Ref("remote_ssh_configs", 1))
            body |= {"storage_type": "remote_ssh", "remote_ssh_config_id": remote}
        return self._post(f"/clients/{self._owner(ref)}/repositories", body, body | {"encryption": "none"}, other)

    def _plan(self, ref: Ref, facts: dict[str, Any]) -> int:
        body = {
            "name": facts.get("name", f"stand-in {ref.id}"),
            "directories": facts.get("directories", "/etc"),
            "repository_id": self._repository_of(ref, facts),
        }
        full = body | {field: facts[field] for field in SCHEDULE if field in facts}
        return self._post(f"/clients/{self._owner(ref)}/plans", full, body, body | {"name": f"stand-in {ref.id}"})

    def _repository_of(self, ref: Ref, facts: dict[str, Any]) -> int:
        told = self.catalogue.repository_of(ref)
        if told is not None:
            return self.ours(Ref("repositories", told))
        known = self.catalogue.named("repositories", self.catalogue.client_of(ref), facts.get("repository_name", ""))
        if known:
            return self.ours(known)
        path = f"/clients/{self._owner(ref)}/repositories"
        there: list[dict[str, Any]] = self.server.get(path)["repositories"]
        if there:
            return int(there[0]["id"])
        return self._post(path, {"name": facts.get("repository_name", "main")})

    def _plugin_config(self, ref: Ref, facts: dict[str, Any]) -> int:
        plugin = facts.get("slug") or facts.get("plugin", "shell_hook")
        least = {"user": "backup", "password": "secret", "dump_dir": "/srv/dump"}
        body = {"plugin": plugin, "name": facts.get("name", f"stand-in {ref.id}"), "config": facts.get("config") or {}}
        bodies = [body, body | {"config": least}, {"plugin": "shell_hook", "name": f"stand-in {ref.id}"}]
        return self._post(f"/clients/{self._owner(ref)}/plugin-configs", *bodies)

    def _remote(self, ref: Ref, facts: dict[str, Any]) -> int:
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        fields = ("name", "remote_host", "remote_port", "remote_user")
        body = {"name": f"stand-in {ref.id}", "remote_host": "remote.invalid", "remote_user": "backup"}
        given = {field: facts[field] for field in fields if field in facts}
        return self._post("/remote-ssh-configs", body | given | {"ssh_private_key": key})

    def _location(self, ref: Ref, facts: dict[str, Any]) -> int | None:
        path = self._directory / f"location-{ref.id}"
        path.mkdir(exist_ok=True)
        return self._post("/storage", {"label": facts.get("name", f"stand-in {ref.id}"), "path": str(path)})

    def _job(self, ref: Ref, facts: dict[str, Any]) -> int:
        """Jobs have many causes; a row is what all of them leave behind."""
        client, payload = self._owner(ref), facts.get("payload", {})
        plan = self._plan_of(ref, facts)
        for entry in payload.get("plugins", []):
            self.ours(Ref("plugin_configs", entry["config_id"]))
        if plan and payload.get("plugins"):
            links = [{"plugin_config_id": entry["config_id"]} for entry in payload["plugins"]]
            self.server.call("PUT", f"/clients/{client}/plans/{plan}", self.body({"plugins": links}))
        with self.server.run.database.connection_context():
            repository = self._repository_of_job(ref, facts, plan) or _first(Repository, client)
            archive = Archive.select().where(Archive.repository == repository).order_by(Archive.id).first()
            restores = facts.get("task_type") == "restore"
            job: Job = Job.create(
                client=client,
                plan=plan,
                repository=repository if facts.get("task_type") not in WITHOUT_REPOSITORY else None,
                plugin_config=self._tested(client, payload) if facts.get("task_type") == "plugin_test" else None,
                restore_archive_id=archive.id if archive and restores else None,
                restore_destination=payload.get("cwd"),
                task_parameters=json.dumps({key: payload[key] for key in payload if key not in ("task", "job_id")}),
                queued_at=self._queued_at(ref),
                **_job_columns(facts),
            )
        return int(job.id)

    def _queued_at(self, ref: Ref) -> Any:
        """When the job recorded before this one ended or was queued: the two then stand in the recorded order."""
        earlier = max((other for other in self.ids if other.kind == "jobs" and other.id < ref.id), default=None)
        job = Job.get_or_none(Job.id == self.ids[earlier]) if earlier else None
        return (job.completed_at or job.queued_at) if job else self.server.clock()

    def _repository_of_job(self, ref: Ref, facts: dict[str, Any], plan: int | None) -> int | None:
        named = self.catalogue.named("repositories", self.catalogue.client_of(ref), facts.get("repository_name", ""))
        if named in self.ids:
            return self.ids[named]
        return Plan.get_by_id(plan).repository_id if plan else None

    def _plan_of(self, ref: Ref, facts: dict[str, Any]) -> int | None:
        if facts.get("backup_plan_id"):
            plan = Ref("plans", facts["backup_plan_id"])
            return None if plan in self.gone else self.ours(plan)
        named = self.catalogue.named("plans", self.catalogue.client_of(ref), facts.get("plan_name", ""))
        if named:
            return self.ours(named)
        return self._any_plan(ref) if facts.get("task_type", "backup") == "backup" else None

    def _any_plan(self, ref: Ref) -> int:
        with self.server.run.database.connection_context():
            found = _first(Plan, self._owner(ref))
        return found or self._plan(ref, {})

    def _tested(self, client: int, payload: dict[str, Any]) -> PluginConfig:
        slug = payload.get("plugin", {}).get("slug", "shell_hook")
        known = PluginConfig.get_or_none((PluginConfig.client == client) & (PluginConfig.plugin == slug))
        if known is None:
            config = payload.get("plugin", {}).get("config", {})
            known = self._post(f"/clients/{client}/plugin-configs", {"plugin": slug, "name": slug, "config": config})
        found: PluginConfig = PluginConfig.get_by_id(known)
        return found

    def _archive(self, ref: Ref, facts: dict[str, Any]) -> int:
        with self.server.run.database.connection_context():
            repository = _first(Repository, self._owner(ref))
            name = facts.get("name", f"stand-in-{ref.id}")
            archive: Archive = Archive.create(repository=repository, name=name, created_at=self.server.clock())
        return int(archive.id)

    # Credentials ----------------------------------------------------------------------------------------------------

    def _other_tokens(self) -> None:
        """The tokens of the recordings: one of a user who is no administrator, one that has expired."""
        run = self.server.run
        viewer = User.create(username="viewer", email="viewer@bbs.example", role="user", created_at=START)
        self.words["TOKEN_USER"] = tokens.create(run, viewer, "viewer")[1]
        row, self.words["TOKEN_EXPIRED"] = tokens.create(run, tokens.administrator(), "expired")
        Token.update(expires_at=START - timedelta(days=365)).where(Token.id == row.id).execute()
        Token.update(created_at=START - timedelta(days=1)).where(Token.user == tokens.administrator()).execute()
        self.ids[Ref("users", 4)] = viewer.id
        Token.update(name="interop").where(Token.token_hash == fingerprint(self.server.token)).execute()

    def key_word(self, client: int) -> str:
        """How the recordings call the key of a client's agent."""
        return "AGENT_KEY" if client == 1 else f"AGENT_KEY_{client}"


def _plugins(key: str) -> str | None:
    return "plugins" if key == "plugins" else None


def _label(item: dict[str, Any]) -> tuple[Any, ...]:
    if "slug" in item and "config" not in item:
        return (item["slug"],)
    return tuple(item.get(key) for key in ("slug", "name", "username", "task_type", "task", "plan_name"))


def _first(table: type[Plan] | type[Repository], client: int) -> int | None:
    row = table.select().where(table.client == client).order_by(table.id).first()
    return row.id if row else None


def _job_columns(facts: dict[str, Any]) -> dict[str, Any]:
    return {"task_type": facts.get("task_type", "backup"), "status": states.QUEUED}
