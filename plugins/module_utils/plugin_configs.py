# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugin configs: what a client does around a backup, such as a database dump (admin-api.md §5.6, §7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Mapping

from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import Converger
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    BbsError,
    InvalidOption,
    RouteMissing,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field, stripped
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome, Policy, reconcile
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result, Task

Schema = Mapping[str, Mapping[str, Any]]

MASK = "********"
# The server masks by key name, whatever the schema says (admin-api.md §5.6).
MASKED_KEYS = frozenset({"password", "secret_key", "access_key"})
# Honoured by the agent although no schema declares it (admin-api.md §7).
UNDECLARED: Mapping[str, Schema] = {"mysql_dump": {"per_database": {"type": "checkbox", "default": True}}}

PLUGIN_CONFIG = Resource(
    name="plugin config",
    collection="/clients/{client_id}/plugin-configs",
    items="plugin_configs",
    fields=(Field("name", normalise=stripped, spec={"required": True}),),
)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item).strip() for item in value)
    if isinstance(value, (dict, bool)):
        raise ValueError("must be a text")
    return str(value)


def _number(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    try:
        return int(str(value).strip())
    except ValueError:
        raise ValueError("must be a number") from None


def _switch(value: Any) -> bool:
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    word = str(value).strip().lower()
    if word not in words:
        raise ValueError("must be true or false")
    return words[word]


def _tags(value: Any) -> list[str]:
    """A list; comma-separated text is as good to the agent (admin-api.md §5.6)."""
    entries = value if isinstance(value, list) else str(value).split(",")
    return [str(entry).strip() for entry in entries if str(entry).strip()]


_NORMALISERS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    "number": _number,
    "checkbox": _switch,
    "tags": _tags,
    "select": _text,
}


def _choice(options: Mapping[str, Any]) -> Callable[[Any], str]:
    def normalise(value: Any) -> str:
        text = _text(value)
        if text not in options:
            raise ValueError(f"must be one of {', '.join(repr(option) for option in options)}")
        return text

    return normalise


def _stored(normalise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The server checks nothing on older versions: what is malformed there stays as it is, and so differs."""

    def from_wire(value: Any) -> Any:
        try:
            return None if value is None else normalise(value)
        except ValueError:
            return value

    return from_wire


def config_field(key: str, declared: Mapping[str, Any]) -> Field:
    """One key of a config as a field of its own, so that each is compared, cleared and shown by itself."""
    options = declared.get("options")
    normalise = _choice(options) if options else _NORMALISERS.get(str(declared.get("type")), _text)
    secret = bool(declared.get("sensitive")) or key in MASKED_KEYS
    stored = _stored(_text if secret else normalise)
    return Field(
        option=f"config.{key}",
        wire=key,
        normalise=_text if secret else normalise,
        read=lambda obj: stored(obj["config"].get(key)),
        secret=secret,
        argument=False,
    )


def resource_of(schema: Schema, stored: Mapping[str, Any]) -> Resource:
    """The resource for one plugin. Keys that are stored but not declared are shown and left alone."""
    strangers = {key: {"type": "text"} for key in stored if key not in schema}
    fields = [config_field(key, declared) for key, declared in {**schema, **strangers}.items()]
    return replace(PLUGIN_CONFIG, fields=(*PLUGIN_CONFIG.fields, *fields))


def applies(declared: Mapping[str, Any], config: Mapping[str, Any], schema: Schema) -> bool:
    """Whether a key matters, given the others: ``show_when`` names the values that make it matter."""
    conditions = declared.get("show_when") or {}
    values = {key: config.get(key, schema.get(key, {}).get("default")) for key in conditions}
    return all(values[key] in (wanted if isinstance(wanted, list) else [wanted]) for key, wanted in conditions.items())


class PluginConfigs(Converger):
    resource = PLUGIN_CONFIG
    reads = ("plugin_configs",)

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.plugin: str = task.params["plugin"].strip()
        self.config: dict[str, Any] = dict(task.params["config"] or {})
        self.schema: Schema = {}

    def find(self, name: str) -> Object | None:
        """By plugin and name: two plugins may use the same one."""
        listed = self.api.get_list(self.collection, self.resource.items, {"name": name, "plugin": self.plugin})
        for item in listed:
            if item["slug"] == self.plugin and item["name"] == name.strip():
                # An empty config is a list on the wire, and upstream stores other things, too (admin-api.md §5.6).
                return {**item, "config": item["config"] if isinstance(item["config"], dict) else {}}
        return None

    def desired(self, current: Object | None) -> dict[str, Any]:
        self.schema = self.plugin_schema()
        self.tell_secrets()
        self.check_keys()
        stored: dict[str, Any] = current["config"] if current else {}
        self.resource = resource_of(self.schema, stored)
        if current is None:
            self.check_required()
        self.check_secrets(stored)
        wanted = {**self.replaced(stored), **self.config}
        return {
            "name": self.new_name or self.name,
            **{f"config.{key}": value for key, value in wanted.items()},
        }

    def plugin_schema(self) -> Schema:
        schemas = self.api.get("/plugins/schema")["schemas"]
        if self.plugin not in schemas:
            raise InvalidOption(f"This server has no plugin {self.plugin}; it has {', '.join(sorted(schemas))}.")
        return {**schemas[self.plugin]["fields"], **UNDECLARED.get(self.plugin, {})}

    def secret_keys(self) -> frozenset[str]:
        return MASKED_KEYS | {key for key, declared in self.schema.items() if declared.get("sensitive")}

    def tell_secrets(self) -> None:
        """Until the schema is known every value counts as secret; from here on only those that are."""
        secret = self.secret_keys()
        harmless = {str(leaf) for key, value in self.config.items() if key not in secret for leaf in leaves(value)}
        kept = {str(leaf) for key, value in self.config.items() if key in secret for leaf in leaves(value)}
        self.task.secrets.difference_update(harmless - kept)
        self.task.secrets.update(kept)

    def check_keys(self) -> None:
        unknown = sorted(set(self.config) - set(self.schema))
        if unknown:
            known = ", ".join(sorted(self.schema))
            raise InvalidOption(f"The plugin {self.plugin} has no {', '.join(unknown)}; it has {known}.")
        for key, value in self.config.items():
            if value is None:
                raise InvalidOption(f"config.{key} is null: leave it out to keep it, or write the value to have.")

    def check_secrets(self, stored: Mapping[str, Any]) -> None:
        for key, value in self.config.items():
            if value == MASK:
                raise InvalidOption(
                    f"config.{key} is {MASK}, which is how the server hides a secret and not the secret. "
                    "Leave it out to keep what is stored."
                )
            if value == "" and key in self.secret_keys() and stored.get(key):
                raise InvalidOption(
                    f"config.{key} is empty, and a stored secret cannot be cleared: leave it out to keep it, "
                    "or remove the config and create it again."
                )

    def check_required(self) -> None:
        absent = [
            key
            for key, declared in self.schema.items()
            if declared.get("required")
            and not self.config.get(key)
            and not declared.get("default")
            and applies(declared, self.config, self.schema)
        ]
        if absent:
            raise InvalidOption(f"To create a config of the plugin {self.plugin}, config needs {', '.join(absent)}.")

    def replaced(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """With ``replace``, keys that the task leaves out go back to the plugin's defaults.

        Secrets stay: the API cannot clear them (admin-api.md §8).
        """
        if not self.task.params["replace"]:
            return {}
        extra = set(stored) - set(self.config) - self.secret_keys()
        defaults = {key: self.schema.get(key, {}).get("default") for key in extra}
        return {key: value for key, value in defaults.items() if value is not None and stored[key] != value}

    def reconcile(self, desired: dict[str, Any] | None, current: Object | None) -> Outcome:
        if desired is None or current is None:
            return super().reconcile(desired, current)
        policy = self.policy()
        if self.task.params["update_secrets"] is None:
            policy = replace(policy, differing_secrets=self.differing_secrets(desired, current))
        return reconcile(self.resource, desired, current, policy)

    def policy(self) -> Policy:
        return Policy(update_secrets=self.task.params["update_secrets"] or "on_create")

    def differing_secrets(self, desired: Mapping[str, Any], current: Object) -> frozenset[str] | None:
        """Ask the server which of the given secrets differ from the stored ones; None where it cannot tell.

        Only a server that announces dry runs is asked: any other would take the question for an order.
        """
        secret = {f.key: desired[f.option] for f in self.resource.fields if f.secret and f.option in desired}
        if not secret or not self.api.has_feature("dry_run"):
            return None
        answer = self.api.put(self.path(current), {"config": secret}, {"dry_run": 1})
        return frozenset(f"config.{name.split('.')[-1]}" for name in answer["fields"])

    def create(self, outcome: Outcome) -> Object:
        name = outcome.payload["name"]
        body = {"plugin": self.plugin, "name": name, "config": self.nested(outcome.payload)}
        return {**body, **self.api.post(self.collection, body, lambda: self.find(name))}

    def update(self, outcome: Outcome, current: Object) -> Object:
        config = self.nested(outcome.payload)
        renamed = {"name": outcome.payload["name"]} if "name" in outcome.payload else {}
        try:
            self.api.put(self.path(current), {**renamed, **({"config": config} if config else {})})
        except RouteMissing as error:
            raise BbsError(
                f"The plugin config {self.name} differs in {', '.join(outcome.changes)}, and this server is "
                "too old to change it: remove it on the server's web pages and run the task again.",
            ) from error
        return {**current, **renamed, "config": {**current["config"], **config}}

    def delete(self, current: Object) -> None:
        try:
            super().delete(current)
        except RouteMissing as error:
            raise BbsError(
                f"This server is too old to remove the plugin config {self.name}: use its web pages."
            ) from error

    def nested(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {f.key: payload[f.key] for f in self.resource.fields if f.option != "name" and f.key in payload}

    def predicted(self, outcome: Outcome, current: Object | None) -> Object | None:
        if outcome.action == "delete" or (current is None and not outcome.changed):
            return None
        before = current or {"config": {}}
        name = outcome.after["name"]
        return {**before, "name": name, "config": {**before["config"], **self.nested(outcome.payload)}}

    def report(self, obj: Object | None, outcome: Outcome) -> Result:
        if obj is None:
            return {"plugin_config": None, "id": None}
        secret = self.secret_keys()
        config = {key: MASK if key in secret and value else value for key, value in obj["config"].items()}
        return {
            "plugin_config": {
                "id": obj.get("id"),
                "plugin": self.plugin,
                "name": obj["name"],
                "config": config,
            },
            "id": obj.get("id"),
        }


def leaves(value: Any) -> list[Any]:
    """The scalars inside a value; not the empty text, which is inside of everything that is said."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [] if value in (None, "") or isinstance(value, bool) else [value]


MODULE = Module(
    name="bbs_plugin_config",
    options={
        "client": {"type": "str", "required": True},
        "plugin": {"type": "str", "required": True},
        **PLUGIN_CONFIG.argument_spec(),
        "new_name": {"type": "str"},
        "config": {"type": "dict", "no_log": True},
        "replace": {"type": "bool", "default": False},
        "update_secrets": {"type": "str", "choices": ["always", "on_create"], "no_log": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    perform=PluginConfigs.perform,
)
