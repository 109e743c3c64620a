# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admin API for who looks at things more than once: what it has read it does not ask for again."""

from __future__ import annotations

import re
from typing import Any, Callable, ClassVar, Dict, Iterable, List

from ansible_collections.borgfleet.bbs.plugins.module_utils._client import ApiClient, Json, Query
from ansible_collections.borgfleet.bbs.plugins.module_utils._connection import Connection
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import RouteMissing

Object = Dict[str, Any]
Objects = List[Object]

CLIENTS = "/clients"
SCHEDULES = "/schedules"
# What the bundled server tells beside clients when asked to, and upstream client by client only.
LISTS = {"repositories": "repositories", "plugin_configs": "plugin-configs", "plans": "plans"}
MOST_CONNECTIONS = 32
_OF_ONE_CLIENT = re.compile(r"/clients/(\d+)")


class RememberingApi(ApiClient):
    """Asks for each list once, whole, and again only after it has itself written where that list comes from.

    :param lists: of ``LISTS``, those to ask for together with a client

    Several threads may use it, as long as no two of them write to the same client.
    """

    connections: ClassVar[int] = MOST_CONNECTIONS

    def __init__(self, connection: Connection, lists: Iterable[str] = tuple(LISTS)) -> None:
        super().__init__(connection)
        self._include = {"include": ",".join(lists)} if lists else {}
        # By the client that it belongs to (its path), then by path.
        self._known: dict[str, dict[str, Json]] = {}
        self._clients: dict[str, Objects] = {}
        self._names: dict[int, str] = {}
        self._all_clients = False
        self._doubtful: set[str] = set()

    def read_all(self) -> None:
        """Read all clients at once, and, where the server tells it, what belongs to them."""
        for client in self._listed(self._include):
            self._add(self._unpacked(client))
        self._all_clients = True

    def clients(self) -> Objects:
        """All clients, once they have been read."""
        return [client for same_name in self._clients.values() for client in same_name]

    def get(self, path: str, query: Query | None = None) -> Json:
        """A client's list comes whole: whoever narrows it looks for the name in the answer anyway."""
        if path == CLIENTS and query:
            return {"clients": self._clients_named(query["name"])}
        if query and not _owner(path):
            return super().get(path, query)
        known = self._known.setdefault(_owner(path), {})
        if path not in known:
            known[path] = self._asked(path)
        if isinstance(known[path], RouteMissing):
            raise known[path]
        return known[path]

    def put(self, path: str, body: Json, query: Query | None = None) -> Json:
        if query:
            # The dry-run form of the write.
            return super().put(path, body, query)
        try:
            answer = super().put(path, body)
        finally:
            self._forget(path)
        if path == _owner(path) and "name" in body:
            self._add({**self._removed(path), "name": body["name"]})
        return answer

    def delete(self, path: str, query: Query | None = None) -> Json:
        try:
            answer = super().delete(path, query)
        finally:
            self._forget(path)
        if path == _owner(path):
            self._removed(path)
        return answer

    def post(self, path: str, body: Json | None = None, happened: Callable[[], Json | None] = lambda: None) -> Json:
        doubted = {body["name"]} if path == CLIENTS and body else set()

        def looked() -> Json | None:
            self._forget(path)
            self._doubtful.update(doubted)
            return happened()

        self._doubtful.update(doubted)
        try:
            answer = super().post(path, body, looked)
        finally:
            self._forget(path)
        if doubted:
            self._doubtful.difference_update(doubted)
            self._add(answer)
        return answer

    def _listed(self, query: Query) -> Objects:
        return self._items(CLIENTS, "clients", super().get(CLIENTS, query))

    def _unpacked(self, client: Object) -> Object:
        """The client alone; those of its lists that came with it are remembered as if each had been asked for."""
        path = f"{CLIENTS}/{client['id']}"
        lists = {key: client.pop(key) for key in LISTS if key in client}
        known = self._known.setdefault(path, {})
        known.update({f"{path}/{LISTS[key]}": {key: items} for key, items in lists.items()})
        return client

    def _clients_named(self, name: str) -> Objects:
        if name in self._doubtful or (name not in self._clients and not self._all_clients):
            listed = self._listed({"name": name, **self._include})
            self._clients[name] = []
            for client in listed:
                if client["name"] == name:
                    self._add(self._unpacked(client))
            self._doubtful.discard(name)
        return self._clients.get(name, [])

    def _asked(self, path: str) -> Json:
        """The answer, or the failure that every further question would meet as well."""
        try:
            return super().get(path)
        except RouteMissing as error:
            return error

    def _add(self, client: Object) -> None:
        same_name = self._clients.setdefault(client["name"], [])
        same_name[:] = [other for other in same_name if other["id"] != client["id"]] + [client]
        self._names[client["id"]] = client["name"]

    def _removed(self, path: str) -> Object:
        """A client that is not known by this name any more."""
        number = int(path.rpartition("/")[2])
        same_name = self._clients.get(self._names.pop(number, ""), [])
        for client in same_name:
            if client["id"] == number:
                same_name.remove(client)
                return client
        return {"id": number}

    def _forget(self, path: str) -> None:
        """Forget all of the client that was written to, as its lists name one another."""
        if path != CLIENTS:
            self._known.pop(_owner(path), None)
            self._known.get("", {}).pop(SCHEDULES, None)


def _owner(path: str) -> str:
    """The path of the client that something belongs to; empty for what belongs to none."""
    match = _OF_ONE_CLIENT.match(path)
    return match[0] if match else ""
