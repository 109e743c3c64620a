# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole fleets: each host's client and what belongs to it, by the same engine as the modules for single objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import Any, Callable, Iterator, Sequence, TypeVar

from ansible_collections.borgfleet.bbs.plugins.module_utils import _fleet_hosts
from ansible_collections.borgfleet.bbs.plugins.module_utils._client import GATEWAY_STATUSES, TOO_MANY_REQUESTS
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    ApiError,
    BbsError,
    InvalidOption,
    TransportError,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._fleet_hosts import CLIENT, KINDS, Entry, Host, removal
from ansible_collections.borgfleet.bbs.plugins.module_utils._fleet_report import (
    NOT_TRIED,
    HostReport,
    names,
    result_of,
    together,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object, named
from ansible_collections.borgfleet.bbs.plugins.module_utils._remembering import MOST_CONNECTIONS, RememberingApi
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result, Task
from ansible_collections.borgfleet.bbs.plugins.module_utils.clients import Clients

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CLIENTS = "clients"
# Up to here, asking for each client costs less than reading them all.
FEW_HOSTS = 20
PROGRESS_STEPS = 10
# With these the server refuses everything, or cannot do anything, whatever the host.
REFUSALS = (401, 403, TOO_MANY_REQUESTS, *GATEWAY_STATUSES)


class FleetClients(Clients):
    def credentials(self, client: Object) -> dict[str, Any]:
        """Asked for only while no agent has registered: of a large fleet that is thousands of requests less."""
        if not self.task.params["return_secrets"] or client.get("status", "setup") != "setup":
            return {}
        return super().credentials(client)


class Fleet:
    """The hosts of one task, and the way to where they shall be."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.hosts = _fleet_hosts.read(task.params["hosts"], task.written["hosts"])
        self.purge = frozenset(task.params["purge"] or ())
        self.with_secrets: bool = task.params["return_secrets"]
        of_hosts = {secret for entry in self.entries() for secret in entry.secrets}
        self.other_secrets = task.secrets - of_hosts
        self.api = RememberingApi(task.connection())
        self.other_secrets |= task.secrets - of_hosts
        task.api = self.api
        self.stopped = Event()

    def entries(self) -> Iterator[Entry]:
        return (entry for host in self.hosts for entry in (host.client, *host.entries))

    def run(self) -> Result:
        """Converge all hosts; one that fails does not hold the others up."""
        try:
            return self.converged()
        finally:
            # Every value of a config has counted as secret so far; the engine has found out which of them are.
            self.task.secrets.clear()
            self.task.secrets.update(self.other_secrets, *(entry.secrets for entry in self.entries()))

    def converged(self) -> Result:
        if CLIENTS in self.purge or len(self.hosts) > FEW_HOSTS:
            self.api.read_all()
        strangers = self.prepare_purge() if self.purge else []
        # Clients go last: what is moved from one name to another must be there before the old one goes.
        reports = [*self.in_parallel(self.converge, self.hosts), *self.in_parallel(self.converge, strangers)]
        self.warn(reports)
        return result_of(reports)

    def prepare_purge(self) -> list[Host]:
        """Add the removal of what hosts do not list to them.

        :return: hosts that nobody lists, with their removal
        :raises InvalidOption: that would be more than the task allows
        """
        extra = self.in_parallel(self.unlisted, self.hosts)
        listed = {name for host in self.hosts for name in host.names}
        strangers = [
            Host(removal(CLIENT, client), [], frozenset())
            for client in (self.api.clients() if CLIENTS in self.purge else [])
            if client["name"] not in listed
        ]
        doomed = [host.name for host in strangers]
        for host, entries in zip(self.hosts, extra):
            doomed += [f"{entry.kind.name} {entry.label} of {host.name}" for entry in entries]
            host.entries += entries
        maximum = self.task.params["purge_maximum"]
        if len(doomed) > maximum:
            raise InvalidOption(
                f"Nothing was changed: {len(doomed)} objects would be removed because hosts does not list them, and "
                f"purge_maximum is {maximum}. They are {names(doomed)}."
            )
        return strangers

    def unlisted(self, host: Host) -> list[Entry]:
        """The removal of what a client has and its host does not list."""
        client = self.client_of(host)
        if client is None or host.client.absent:
            return []
        found = []
        for kind in KINDS:
            if kind.option in self.purge & host.listed:
                resource = kind.converger.resource
                path = resource.collection.format(client_id=client["id"])
                objects = self.api.get_list(path, resource.items)
                found += [removal(kind, obj) for obj in objects if not host.declares(kind, obj)]
        return found

    def client_of(self, host: Host) -> Object | None:
        """The client as it is now, also when check mode does not rename it."""
        found = (named(self.api, "/clients", CLIENTS, CLIENT.name, name) for name in host.names)
        return next((client for client in found if client is not None), None)

    def converge(self, host: Host) -> HostReport:
        report = HostReport(host.name)
        for entry in host.in_order():
            if self.stopped.is_set():
                report.failure = NOT_TRIED
                break
            try:
                self.perform(entry, host, report)
            except BbsError as error:
                where = "" if entry.kind is CLIENT else f"{entry.kind.name} {entry.label}: "
                report.failure = f"{where}{error}"
                if concerns_all(error):
                    self.stopped.set()
                break
        return report

    def perform(self, entry: Entry, host: Host, report: HostReport) -> None:
        """Do what the module for a single object would do."""
        task = entry.task(self.task, host, report.warnings.append)
        if entry.kind is CLIENT:
            task.params = {**task.params, "return_secrets": self.with_secrets}
            result = FleetClients(task).run()
        else:
            client = self.client_of(host)
            task.params = {**task.params, "client": client["name"] if client else host.names[0]}
            result = entry.kind.converger(task).run()
        secrets = entry.kind.one_time_secrets if self.with_secrets else ()
        report.add(entry, result, ("id", *entry.kind.told, *secrets))

    def in_parallel(self, work: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """The answers in the order of the items, with some words on the way."""
        with ThreadPoolExecutor(self.task.params["concurrency"]) as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    self.tell(future.result(), done, len(items))
            except BaseException:
                self.stopped.set()
                for future in futures:
                    future.cancel()
                raise
        return [future.result() for future in futures]

    def tell(self, answer: Any, done: int, total: int) -> None:
        if isinstance(answer, HostReport) and answer.failure not in ("", NOT_TRIED):
            self.task.progress(f"{answer.name}: failed: {answer.failure}")
        step = PROGRESS_STEPS * done // total
        if total > FEW_HOSTS and step > PROGRESS_STEPS * (done - 1) // total:
            self.task.progress(f"{done} of {total} hosts")

    def warn(self, reports: Sequence[HostReport]) -> None:
        """Each warning once, however many hosts it is about."""
        said = ((report.name, warning) for report in reports for warning in report.warnings)
        for warning, hosts in together(said).items():
            self.task.warn(f"{names(hosts)}: {warning}")
        unknown = [report.name for report in reports if report.made_passphrase and not self.with_secrets]
        if unknown and not self.task.check_mode:
            self.task.warn(
                f"Only the server knows the passphrases of new repositories of {names(unknown)}. Keep copies of them; "
                "next time give passphrase, or set return_secrets to true."
            )


def concerns_all(error: BbsError) -> bool:
    """Whether every other host would meet the same."""
    return isinstance(error, TransportError) or (isinstance(error, ApiError) and error.status in REFUSALS)


def perform(task: Task) -> Result:
    if not 1 <= task.params["concurrency"] <= MOST_CONNECTIONS:
        raise InvalidOption(f"concurrency must be from 1 to {MOST_CONNECTIONS}.")
    if task.params["purge"] and (task.params["purge_maximum"] or 0) < 0:
        raise InvalidOption("purge_maximum must not be negative.")
    return Fleet(task).run()


MODULE = Module(
    name="bbs_fleet",
    options={
        "hosts": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": _fleet_hosts.HOST_SPEC,
        },
        "purge": {"type": "list", "elements": "str", "choices": [CLIENTS, *(kind.option for kind in KINDS)]},
        "purge_maximum": {"type": "int"},
        "concurrency": {"type": "int", "default": 8},
        "return_secrets": {"type": "bool", "default": False, "no_log": False},
    },
    perform=perform,
    rules={"required_by": {"purge": ["purge_maximum"]}},
    diagnose=_fleet_hosts.diagnose,
)
