# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet's task says of each host, as tasks of the modules for single objects would say it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, List, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.borgfleet.bbs.plugins.module_utils import clients, plans, plugin_configs, repositories
from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import Converger
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import slug
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object
from ansible_collections.borgfleet.bbs.plugins.module_utils._options import described, mistyped
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Task
from ansible_collections.borgfleet.bbs.plugins.module_utils.plugin_configs import leaves

Options = Mapping[str, Any]
Spec = Mapping[str, Any]
ABSENT = "absent"


@dataclass(frozen=True)
class Kind:
    """A kind of object, with the module that manages a single one.

    :param option: where a host lists them; empty for the client itself
    :param label: what the result calls one of them, and what must not be listed twice; takes its options
    :param told: what the result says of each, beside its id
    :param one_time_secrets: likewise, where the task asks for them
    """

    option: str
    module: Module
    converger: type[Converger]
    label: Callable[[Options], str]
    told: tuple[str, ...] = ()
    one_time_secrets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.converger.resource.name

    @property
    def spec(self) -> dict[str, Any]:
        """The module's own options; whose object it is, is said by where it is listed."""
        return {name: option for name, option in self.module.options.items() if name != "client"}


def _name(options: Options) -> str:
    return str(options["name"]).strip()


CLIENT = Kind("", clients.MODULE, clients.Clients, _name, ("status",), ("api_key", "install_command"))
# In the order in which they come into being.
KINDS = (
    Kind(
        "repositories",
        repositories.MODULE,
        repositories.Repositories,
        lambda options: slug(options["name"]),
        one_time_secrets=("passphrase",),
    ),
    Kind(
        "plugin_configs",
        plugin_configs.MODULE,
        plugin_configs.PluginConfigs,
        lambda options: f"{str(options['plugin']).strip()}/{_name(options)}",
    ),
    Kind("plans", plans.MODULE, plans.Plans, _name),
)
HOST_SPEC: Spec = {
    **CLIENT.spec,
    **{kind.option: {"type": "list", "elements": "dict", "options": kind.spec} for kind in KINDS},
}


@dataclass
class Entry:
    """One object that a host shall or shall not have.

    :param params: the options of its module, coerced
    :param given: those that are really written
    :param secrets: values of it that must not be shown
    """

    kind: Kind
    params: Options
    given: frozenset[str]
    secrets: set[str] = field(default_factory=set)

    @property
    def label(self) -> str:
        return self.kind.label(self.params)

    @property
    def absent(self) -> bool:
        return bool(self.params["state"] == ABSENT)

    def task(self, whole: Task, host: Host, warn: Callable[[str], None]) -> Task:
        """The task that the module for this one object would have been given.

        :param whole: the task of the fleet
        """
        own = Task(
            params=self.params,
            given=self.given,
            check_mode=whole.check_mode,
            secrets=self.secrets,
            warn=warn,
            foreseen=host.foresees,
        )
        own.api = whole.api
        return own

    def faults(self) -> Iterator[str]:
        """What is wrong with its options, as far as that is known without asking the server."""
        for spec in self.kind.converger.resource.fields:
            if spec.argument and spec.option in self.given:
                try:
                    spec.wanted(self.params[spec.option])
                except InvalidOption as error:
                    yield f"{self.kind.name} {_name(self.params)}: {error}"


@dataclass
class Host:
    """A client and what belongs to it.

    :param listed: options that the host has, even if the list is empty: what is left out is nobody's business
    """

    client: Entry
    entries: list[Entry]
    listed: frozenset[str]

    @property
    def name(self) -> str:
        return self.client.label

    @property
    def names(self) -> list[str]:
        """The name that the client shall have in the end, then the one that it had, if that is another."""
        new_name = (self.client.params["new_name"] or "").strip()
        return [new_name, self.name] if new_name not in ("", self.name) else [self.name]

    def in_order(self) -> list[Entry]:
        """What comes into being, each after what it refers to; then what goes, the other way round."""
        if self.client.absent:
            return [self.client]
        present = [entry for entry in self.entries if not entry.absent]
        going = [entry for kind in reversed(KINDS) for entry in self.entries if entry.kind is kind and entry.absent]
        return [self.client, *present, *going]

    def foresees(self, kind: str, name: str) -> bool:
        """Whether something is among what shall exist."""
        if kind == CLIENT.name:
            return name in self.names
        wanted = slug(name) if kind == repositories.REPOSITORY.name else name
        labels = {entry.label for entry in self.entries if entry.kind.name == kind and not entry.absent}
        # A plugin config is also known by its name without the plugin's.
        return wanted in labels | {label.partition("/")[2] for label in labels}

    def declares(self, kind: Kind, obj: Object) -> bool:
        """Whether an object of the server is spoken of, under this or its new name."""
        found = kind.label({"plugin": obj.get("slug"), **obj})
        return any(found in _labels(entry) for entry in self.entries if entry.kind is kind)

    def faults(self) -> list[str]:
        """What is wrong with it, in sentences that begin with its name."""
        found = [fault for entry in (self.client, *self.entries) for fault in entry.faults()]
        found = found or _doubles(f"{entry.kind.name} {entry.label}" for entry in self.entries)
        return [f"{self.name}: {fault}" for fault in found]


def _labels(entry: Entry) -> set[str]:
    new_name = (entry.params.get("new_name") or "").strip()
    renamed = {entry.kind.label({**entry.params, "name": new_name})} if new_name else set()
    return {entry.label} | renamed


def _doubles(names: Iterable[str]) -> list[str]:
    return [f"{name} is there twice" for name, count in Counter(names).items() if count > 1]


def removal(kind: Kind, obj: Object) -> Entry:
    """The entry that removes an object which no host speaks of."""
    key = {"plugin": obj["slug"]} if kind.option == "plugin_configs" else {}
    options = {"name": obj["name"], "state": ABSENT, **key}
    params = ArgumentSpecValidator(kind.spec).validate(options).validated_parameters
    return Entry(kind, {name: params.get(name) for name in kind.spec}, frozenset(options))


def read(hosts: List[Options], written: Any) -> list[Host]:
    """The hosts of a task.

    :param hosts: coerced by the argument spec
    :param written: the same as the task has them
    :raises InvalidOption: something is malformed, named with its host; all of that at once
    """
    if not (isinstance(written, list) and all(isinstance(host, Mapping) for host in written)):
        raise InvalidOption("hosts must be a list of dictionaries.")
    found = [_host(params, given) for params, given in zip(hosts, written)]
    faults = [fault for host in found for fault in host.faults()]
    faults += [f"{host['name']}: {fault}" for host in written for fault in _mistyped(host)]
    faults += _doubles(name for host in found for name in host.names)
    if faults:
        raise InvalidOption("Nothing was changed, because of malformed hosts:\n" + "\n".join(sorted(faults)))
    return found


def _host(params: Options, written: Options) -> Host:
    entries = [
        _entry(kind, one, given)
        for kind in KINDS
        for one, given in zip(params[kind.option] or [], written.get(kind.option) or [])
    ]
    listed = frozenset(kind.option for kind in KINDS if params[kind.option] is not None)
    return Host(_entry(CLIENT, params, written), entries, listed)


def _mistyped(host: Options) -> Iterator[str]:
    yield from mistyped(CLIENT.spec, host)
    for kind in KINDS:
        for entry in host.get(kind.option) or []:
            yield from mistyped(kind.spec, entry)


def _entry(kind: Kind, params: Options, written: Any) -> Entry:
    if not isinstance(written, Mapping):
        raise InvalidOption(f"hosts: {kind.option} must be lists of dictionaries.")
    given = frozenset(name for name in written if name in kind.spec)
    secret = [params[name] for name in given if kind.spec[name].get("no_log")]
    return Entry(kind, {name: params.get(name) for name in kind.spec}, given, {str(leaf) for leaf in leaves(secret)})


def diagnose(written: Options) -> list[str]:
    """What Ansible finds wrong with hosts, with the name of the host, which Ansible leaves out."""
    hosts = written.get("hosts")
    if not isinstance(hosts, list):
        return []
    return [fault for number, host in enumerate(hosts, 1) for fault in _refused(number, host)]


def _refused(number: int, host: Any) -> list[str]:
    if not isinstance(host, Mapping):
        # What it is stays untold: it may be the text of a dictionary with secrets in it.
        return [f"number {number} of hosts is not a dictionary"]
    errors = ArgumentSpecValidator(dict(HOST_SPEC)).validate(dict(host)).errors
    return [f"{host.get('name', 'a host without a name')}: {described(error)}" for error in errors]
