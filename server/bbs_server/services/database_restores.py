# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring databases: which dump of an archive holds them, and what the agent is told (agent-protocol.md §7.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bbs_agent.plugins.dump_files import ALL, file_name
from bbs_server.backup_plugins import PLUGINS
from bbs_server.clock import wire
from bbs_server.errors import Conflict, Invalid, NotFound
from bbs_server.models import Archive, Client, Job, PluginConfig
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import archives, audit, plugin_configs

MODES = ("replace", "rename")


@dataclass(frozen=True)
class Engine:
    """What is particular to a database system.

    :param task_type: the task that restores its dumps.
    :param key: the task's key with the connection.
    :param options: what of the connector's options the connection has, besides those that all have.
    :param suffix: how the file of one database ends; empty: it is a directory.
    """

    task_type: str
    key: str
    options: tuple[str, ...] = ()
    suffix: str = ".sql"


ENGINES = {
    "mysql_dump": Engine("restore_mysql", "mysql_config"),
    "pg_dump": Engine("restore_pg", "pg_config"),
    "mongo_dump": Engine("restore_mongo", "mongo_config", ("auth_db",), suffix=""),
}
"""By the plugin that dumps."""

CONNECTION = ("host", "port", "user", "password")

TASK_TYPES = frozenset(engine.task_type for engine in ENGINES.values())


@dataclass(frozen=True)
class Dump:
    """The dumps that one plugin configuration left in an archive (agent-protocol.md §10.4).

    :param config_id: None when an agent of 2.26 reported it, as is ``engine``.
    :param per_database: a file for each database, else one for all.
    """

    config_id: int | None
    config_name: str | None
    engine: str | None
    dump_dir: str | None
    databases: tuple[str, ...]
    per_database: bool
    compress: bool

    def shown(self) -> dict[str, Any]:
        """The form on the wire."""
        return {**vars(self), "databases": list(self.databases)}

    def fits(self, connector: PluginConfig) -> bool:
        """Whether a connector's database system reads it."""
        return self.config_id == connector.id or self.engine in (None, connector.plugin)

    def paths(self, connector: PluginConfig, wanted: Sequence[str]) -> list[str]:
        """The places of these databases' dumps inside the archive."""
        engine = ENGINES[connector.plugin]
        suffix = engine.suffix + (".gz" if engine.suffix and self.compress else "")
        names = wanted if self.per_database else [ALL]
        return [f"{self.folder(connector)}/{file_name(name)}{suffix}".lstrip("/") for name in names]

    def folder(self, connector: PluginConfig) -> str:
        """Where the dumps were written; the connector's folder when the report did not say."""
        folder = self.dump_dir or json.loads(connector.config).get("dump_dir") or ""
        return str(folder).rstrip("/")


def dumps(archive: Archive) -> list[Dump]:
    """What an archive's report says of databases, in either form; what cannot be understood is passed over."""
    told = json.loads(archive.databases or "{}")
    groups = told.get("groups", [told] if told else [])
    return [_dump(group) for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []


def connectors(client: Client) -> list[dict[str, Any]]:
    """The plugin configurations of a client that databases can be restored with, by name."""
    rows = client.plugin_configs.where(PluginConfig.plugin.in_(list(ENGINES))).order_by(
        PluginConfig.name, PluginConfig.id
    )
    return [
        {"id": row.id, "name": row.name, "plugin": row.plugin, "plugin_name": PLUGINS[row.plugin].name} for row in rows
    ]


def contents(archive: Archive) -> dict[str, Any]:
    """The databases in an archive."""
    found = dumps(archive)
    return {
        "archive_id": archive.id,
        "archive_name": archive.name,
        "backed_up_at": wire(archive.created_at),
        "has_databases": bool(found),
        "databases": sorted({name for dump in found for name in dump.databases}),
        "groups": [dump.shown() for dump in found],
    }


def request(
    run: Runtime, client: Client, *, connector_id: int, archive_id: int, databases: Sequence[Mapping[str, Any]]
) -> Job:
    """Queue the restore of databases on a client's machine.

    :param databases: ``name``, ``mode`` and ``target_name`` of each.
    :raises NotFound: no such connector or archive of this client.
    :raises Invalid: the archive holds no such dump, or the modes contradict each other.
    :raises Conflict: a restore with this connector is active.
    """
    connector: PluginConfig | None = client.plugin_configs.where(
        (PluginConfig.id == connector_id) & PluginConfig.plugin.in_(list(ENGINES))
    ).first()
    if connector is None:
        raise NotFound("Database connector not found.")
    archive = archives.of_client(client, archive_id)
    wanted = [_wanted(index, entry) for index, entry in enumerate(databases)]
    _refuse_twice([entry["database"] for entry in wanted])
    _checked_dump(archive, connector, wanted)
    with run.writing():
        _refuse_second(client, connector)
        job: Job = Job.create(
            client=client,
            repository=archive.repository_id,
            plugin_config=connector,
            task_type=ENGINES[connector.plugin].task_type,
            status=states.QUEUED,
            restore_archive_id=archive.id,
            restore_databases=json.dumps(wanted),
            queued_at=run.clock(),
        )
        names = ", ".join(entry["database"] for entry in wanted)
        text = f'Restore of the databases {names} from "{archive.name}" queued.'
        audit.record(run, "restore_databases", text, client=client, level="warning")
    return job


def instructions(run: Runtime, archive: Archive, connector: PluginConfig, job: Job) -> tuple[list[str], dict[str, Any]]:
    """What of the archive the agent extracts, and the task's keys about databases.

    :raises Invalid: the archive's record has changed and holds the dump no more.
    """
    wanted = json.loads(job.restore_databases or "[]")
    dump = _checked_dump(archive, connector, wanted)
    engine, options = ENGINES[connector.plugin], plugin_configs.opened(run, connector)
    connection = {name: options.get(name) for name in (*CONNECTION, *engine.options)}
    connection |= {"dump_dir": dump.folder(connector), "compress": dump.compress}
    if engine.key == "mysql_config":
        connection["per_database"] = dump.per_database
    paths = dump.paths(connector, [entry["database"] for entry in wanted])
    return paths, {"databases": wanted, engine.key: connection, "cwd": "/"}


def _checked_dump(archive: Archive, connector: PluginConfig, wanted: Sequence[Mapping[str, Any]]) -> Dump:
    fitting = sorted(
        (dump for dump in dumps(archive) if dump.fits(connector)), key=lambda dump: dump.config_id != connector.id
    )
    names = [entry["database"] for entry in wanted]
    found = next((dump for dump in fitting if set(names) <= set(dump.databases)), None)
    if found is None:
        held = sorted({name for dump in fitting for name in dump.databases})
        there = f"it holds {', '.join(held)}" if held else "it holds none that this connector can read"
        raise Invalid(f"databases: the archive has no dump with all of {', '.join(names)}; {there}.")
    if not found.per_database:
        if set(names) != set(found.databases):
            raise Invalid(f"databases: the dump is one file for all: name all of {', '.join(found.databases)}.")
        if any(entry["mode"] == "rename" for entry in wanted):
            raise Invalid("databases: a dump of all databases in one file can only replace them.")
    return found


def _wanted(index: int, entry: Mapping[str, Any]) -> dict[str, str]:
    name, mode, target = entry["name"], entry["mode"], entry.get("target_name")
    for field, value in (("name", name), ("target_name", target)):
        if value is not None and (not value.strip() or value.startswith("-") or "\0" in value):
            raise Invalid(f"databases.{index}.{field}: must be a name that does not begin with a dash.")
    if mode == "rename" and not target:
        raise Invalid(f"databases.{index}.target_name: is required with the mode rename.")
    if mode == "replace" and target:
        raise Invalid(f"databases.{index}.target_name: goes with the mode rename only.")
    return {"database": name, "mode": mode} | ({"target_name": target} if target else {})


def _refuse_twice(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"databases: names {name} twice.")


def _refuse_second(client: Client, connector: PluginConfig) -> None:
    same = (Job.plugin_config == connector) & Job.task_type.in_(list(TASK_TYPES)) & Job.status.in_(states.ACTIVE)
    active = client.jobs.where(same).first()
    if active is not None:
        raise Conflict(f'A restore with "{connector.name}" is already queued or running.', job_id=active.id)


def _dump(group: Mapping[str, Any]) -> Dump:
    def text(name: str) -> str | None:
        value = group.get(name)
        return value if isinstance(value, str) and value else None

    number, names = group.get("config_id"), group.get("databases")
    return Dump(
        config_id=number if isinstance(number, int) else None,
        config_name=text("config_name"),
        engine=text("engine"),
        dump_dir=text("dump_dir"),
        databases=tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else (),
        per_database=bool(group.get("per_database", True)),
        compress=bool(group.get("compress", True)),
    )
