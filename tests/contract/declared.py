# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module with a declaration: what it needs to be tried, and two values for each of its fields.

A field that is added to a declaration is tried without a line here, as long as its type tells what values it takes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field, shown
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils.clients import CLIENT
from ansible_collections.borgfleet.bbs.plugins.module_utils.plans import PLAN
from ansible_collections.borgfleet.bbs.plugins.module_utils.plugin_configs import resource_of
from ansible_collections.borgfleet.bbs.plugins.module_utils.repositories import REPOSITORY
from ansible_collections.borgfleet.bbs.plugins.module_utils.tokens import TOKEN

Options = dict[str, Any]
Samples = Mapping[str, tuple[Any, Any]]

HOST = "web1"
GENERATED: Mapping[str, tuple[Any, Any]] = {
    "str": ("first", "second"),
    "int": (1, 2),
    "bool": (True, False),
    "list": (["first"], ["second"]),
}
CONFIG_TYPES: Mapping[str, tuple[Any, Any]] = {
    "text": ("first", "second"),
    "number": (1, 2),
    "checkbox": (True, False),
    "tags": (["first"], ["second", "third"]),
}
CONFIG_SPECIAL: Mapping[str, tuple[Any, Any]] = {
    "dump_dir": ("/var/first", "/var/second"),
    "bandwidth_limit": ("10M", "500K"),
}
"""Options that have to be more than their type says."""


@dataclass(frozen=True)
class Case:
    """A kind of object with what a creation of it needs.

    :param key: options that name the object
    :param create: what a creation needs besides
    :param samples: two values for fields whose type does not tell what they take
    :param collection: path of its list on the server of the tests, ``{host}`` is the client's id
    """

    module: str
    resource: Resource
    key: Options
    create: Options = field(default_factory=dict)
    samples: Samples = field(default_factory=dict)
    collection: str = ""

    def __str__(self) -> str:
        plugin = f"-{self.key['plugin']}" if "plugin" in self.key else ""
        return self.module.removeprefix("bbs_") + plugin

    def fields(self) -> Iterator[Field]:
        """The fields that the playbook sets by an option of their own."""
        return (f for f in self.resource.fields if f.argument or f.option.startswith("config."))

    @property
    def unreadable(self) -> frozenset[str]:
        """What no server tells again once it is set."""
        return frozenset(f.option for f in self.resource.fields if f.secret and not f.mutable)

    def values(self, spec: Field) -> tuple[Any, Any]:
        """Two values of a field, as a playbook writes them."""
        if spec.option in self.samples:
            return self.samples[spec.option]
        if spec.spec.get("choices"):
            return (*spec.spec["choices"][:2],)
        return GENERATED[spec.type]

    def setting(self, spec: Field, value: Any) -> Options:
        """The options that create the object with a field set."""
        if spec.option == "name":
            return self.create
        if spec.option.startswith("config."):
            return {**self.create, "config": {**self.create["config"], spec.key: value}}
        return {**self.create, spec.option: value}

    def changing(self, spec: Field, value: Any) -> Options:
        """The options that change one field of it, and nothing else."""
        if spec.option == "name":
            return {"new_name": value}
        return {"config": {spec.key: value}} if spec.option.startswith("config.") else {spec.option: value}


def printed(spec: Field, value: Any) -> Any:
    """An option's value as a diff shows it; references are written by name already."""
    return "(set)" if spec.secret else shown(spec.wanted(value))


PLAN_SAMPLES: Samples = {
    "name": ("nightly", "renamed"),
    "repository": ("main", "second"),
    "directories": (["/etc"], ["/srv", "/home"]),
    "advanced_options": ("--compression zstd", "--noatime"),
    "times": (["13:00", "1:30"], ["02:45"]),
    "day_of_week": (["sunday"], ["tue", "5"]),
    "day_of_month": (["1", "15"], ["last"]),
    "timezone": ("Europe/Berlin", "America/New_York"),
    "plugin_configs": (["hooks", "db"], ["db", "hooks"]),
}
PLAN_CASE = Case(
    "bbs_plan",
    PLAN,
    {"client": HOST, "name": "nightly"},
    {"repository": "main", "directories": ["/etc"]},
    PLAN_SAMPLES,
    collection="/clients/{host}/plans",
)
REPOSITORY_CASE = Case(
    "bbs_repository",
    REPOSITORY,
    {"client": HOST, "name": "Main Repo"},
    {"encryption": "none"},
    {
        "name": ("Main Repo", "Other Repo"),
        "storage_location": ("Default", "Second disk"),
        "remote_ssh_config": ("offsite", "elsewhere"),
    },
    collection="/clients/{host}/repositories",
)
CLIENT_CASE = Case("bbs_client", CLIENT, {"name": "web2"}, samples={"name": ("web2", "web3")}, collection="/clients")
TOKEN_CASE = Case(
    "bbs_token",
    TOKEN,
    {"name": "deploy"},
    samples={
        "name": ("deploy", "other"),
        "scope": ("provision", "read"),
        "expires_at": ("2090-01-31", "2091-01-31T12:00:00Z"),
    },
    collection="/tokens",
)


def plugin_cases() -> Iterator[Case]:
    """One case for each plugin that the bundled server knows, made from the schema it publishes."""
    plugins = importlib.import_module("bbs_server.backup_plugins").PLUGINS
    for slug, plugin in plugins.items():
        schema = plugin.schema()["fields"]
        samples = {f"config.{key}": _config_values(declared) for key, declared in schema.items()}
        needed = {key: f"needed-{key}" for key, declared in schema.items() if declared.get("required")}
        needed.update({"credential_source": "custom"} if "credential_source" in schema else {})
        special = {f"config.{key}": values for key, values in CONFIG_SPECIAL.items() if key in schema}
        needed.update({"dump_dir": "/var/dump"} if "dump_dir" in schema else {})
        yield Case(
            "bbs_plugin_config",
            resource_of(schema, {}),
            {"client": HOST, "plugin": slug, "name": "config"},
            {"config": needed},
            {"name": ("config", "renamed"), **samples, **special},
            collection="/clients/{host}/plugin-configs",
        )


def _config_values(declared: Mapping[str, Any]) -> tuple[Any, Any]:
    if declared.get("options"):
        first, second, *_ = declared["options"]
        return first, second
    first, second = CONFIG_TYPES[declared["type"]]
    return (f"canary-{first}", f"canary-{second}") if declared.get("sensitive") else (first, second)


CASES = (CLIENT_CASE, REPOSITORY_CASE, *plugin_cases(), PLAN_CASE, TOKEN_CASE)
