# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plugin configurations of a client: checked against the plugin's schema, secrets sealed (admin-api.md §5.6)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import peewee

from bbs_server.backup_plugins import PLUGINS
from bbs_server.backup_plugins.schema import MASK, Plugin
from bbs_server.clock import wire
from bbs_server.errors import Conflict, NotFound
from bbs_server.models import Client, PluginConfig
from bbs_server.runtime import Runtime
from bbs_server.services import audit, ids, names, s3_links


def find(client: Client, config_id: int) -> PluginConfig:
    """One configuration of a client.

    :raises NotFound: unknown, or another client's.
    """
    found: PluginConfig | None = client.plugin_configs.where(PluginConfig.id == config_id).first()
    if found is None:
        raise NotFound("Plugin configuration not found for this client.")
    return found


def listed(client: Client, name: str | None = None, plugin: str | None = None) -> list[dict[str, Any]]:
    """A client's configurations by plugin name, then by their own; secrets masked.

    :param name: only those of this name.
    :param plugin: only those of this plugin, by its slug.
    """
    wanted = PluginConfig.client == client
    if name is not None:
        wanted &= PluginConfig.name == name
    if plugin is not None:
        wanted &= PluginConfig.plugin == plugin
    return [masked(row) for row in _in_order(PluginConfig.select().where(wanted))]


def of_clients(clients: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What :func:`listed` tells of each of these clients, and maybe of some between them."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in _in_order(PluginConfig.select().where(ids.among(PluginConfig.client, clients))):
        found.setdefault(row.client_id, []).append(masked(row))
    return found


def _in_order(rows: Iterable[PluginConfig]) -> list[PluginConfig]:
    return sorted(rows, key=lambda row: (PLUGINS[row.plugin].name, row.name.lower(), row.id))


def masked(row: PluginConfig) -> dict[str, Any]:
    """A configuration with every secret replaced by asterisks."""
    plugin, config = PLUGINS[row.plugin], json.loads(row.config)
    shown = {key: MASK if key in plugin.sensitive() and value else value for key, value in config.items()}
    return {"id": row.id, "name": row.name, "config": shown, "slug": plugin.slug, "plugin_name": plugin.name}


def updated(row: PluginConfig) -> dict[str, Any]:
    """The reply to an update: each secret is replaced by ``<option>_set``."""
    plugin, config = PLUGINS[row.plugin], json.loads(row.config)
    open_values = {key: value for key, value in config.items() if key not in plugin.sensitive()}
    flags = {f"{key}_set": bool(config.get(key)) for key in sorted(plugin.sensitive())}
    return {
        "id": row.id,
        "name": row.name,
        "plugin": plugin.slug,
        "plugin_name": plugin.name,
        "config": open_values | flags,
        "created_at": wire(row.created_at),
    }


def opened(run: Runtime, row: PluginConfig) -> dict[str, Any]:
    """A configuration with its secrets in clear, as an agent needs it."""
    sensitive = PLUGINS[row.plugin].sensitive()
    return {
        key: _open(run, row.id, key, value) if key in sensitive and value else value
        for key, value in json.loads(row.config).items()
    }


def create(run: Runtime, client: Client, plugin_slug: str, name: str, config: Mapping[str, Any]) -> PluginConfig:
    """Store a configuration: checked, defaults filled in.

    :raises NotFound: no such plugin.
    :raises Conflict: the name is taken for this plugin and client.
    """
    plugin = PLUGINS.get(plugin_slug)
    if plugin is None:
        raise NotFound(f"Unknown plugin: choose one of {', '.join(PLUGINS)}.")
    name = names.checked(name)
    complete = plugin.complete(_without_masks(plugin, plugin.checked(config)))
    try:
        with run.writing():
            row: PluginConfig = PluginConfig.create(
                client=client, plugin=plugin.slug, name=name, config="{}", created_at=run.clock()
            )
            _store(run, row, plugin, complete)
            audit.record(run, "plugin_config.create", f'Plugin config "{name}" ({plugin.slug}) created.', client=client)
    except peewee.IntegrityError as error:
        raise _name_taken(name) from error
    return row


def update(
    run: Runtime, row: PluginConfig, *, name: str | None, config: Mapping[str, Any] | None, replace: bool
) -> PluginConfig:
    """Change a configuration.

    Options are merged key by key. A secret that is empty, null or the mask stays as it was.

    :param replace: start from the defaults instead; secrets that are not given stay as they were.
    """
    plugin = PLUGINS[row.plugin]
    with run.writing():
        if name is not None:
            row.name = names.checked(name)
        if config is not None:
            current = opened(run, row)
            kept = {key: value for key, value in current.items() if not replace or key in plugin.sensitive()}
            _store(run, row, plugin, plugin.complete(_merged(plugin, kept, config)))
        try:
            row.save(only=[PluginConfig.name, PluginConfig.config])
        except peewee.IntegrityError as error:
            raise _name_taken(row.name) from error
        audit.record(run, "plugin_config.update", f'Plugin config "{row.name}" updated.', client=row.client)
    return row


def delete(run: Runtime, row: PluginConfig) -> None:
    """Remove a configuration, also from the plans it is attached to.

    :raises Conflict: repositories are copied to S3 with it.
    """
    with run.writing():
        linked = [{"id": link.repository_id, "name": link.repository.name} for link in s3_links.of(row)]
        if linked:
            raise Conflict(
                f"{len(linked)} repositories are copied to S3 with this configuration.",
                reason="repositories_attached",
                repositories=linked,
            )
        row.delete_instance()
        audit.record(run, "plugin_config.delete", f'Plugin config "{row.name}" deleted.', client=row.client)


def _merged(plugin: Plugin, kept: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    sensitive = plugin.sensitive()
    cleared = {key for key, value in given.items() if value is None and key not in sensitive}
    changed = {
        key: value
        for key, value in given.items()
        if value is not None and not (key in sensitive and value in ("", MASK))
    }
    unchanged = {key: value for key, value in kept.items() if key not in cleared}
    plugin.checked({key: None for key in cleared if key not in plugin.fields})
    return unchanged | plugin.checked(changed)


def _without_masks(plugin: Plugin, config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in plugin.sensitive() or value != MASK}


def _store(run: Runtime, row: PluginConfig, plugin: Plugin, config: Mapping[str, Any]) -> None:
    sealed = {
        key: _seal(run, row.id, key, value) if key in plugin.sensitive() and value else value
        for key, value in config.items()
    }
    row.config = json.dumps(sealed)
    row.save(only=[PluginConfig.config])


def _seal(run: Runtime, row: int, key: str, value: str) -> str:
    return run.keyring.seal(value, table="plugin_configs", column=f"config.{key}", row=row)


def _open(run: Runtime, row: int, key: str, value: str) -> str:
    return run.keyring.open(value, table="plugin_configs", column=f"config.{key}", row=row)


def _name_taken(name: str) -> Conflict:
    return Conflict(f'A configuration named "{name}" already exists for this plugin and client.', reason="name_taken")
