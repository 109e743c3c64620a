# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All simulated agents of one server: one for each client that the cues name, as soon as the client exists."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from bbs_agent.api import Api
from bbs_server.dev.agents import Agent
from bbs_server.dev.cues import CueFile

REGISTRATION_SECONDS = 20
END_SECONDS = 5


class FleetError(Exception):
    """The server refuses what the fleet needs; the message says what."""


class Fleet:
    """A context manager; agents end with it.

    :param token: an administrator's, to create clients and to read the keys of new ones.
    :param storage: the server's first storage location.
    :param borg_directory: borg's own state for the agents' archives.
    :param tell: is told one line about each thing that happens.
    """

    def __init__(
        self,
        url: str,
        token: str,
        cues: CueFile,
        *,
        storage: Path,
        borg_directory: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._url, self._token, self._cues, self._tell = url, token, cues, tell
        self._storage, self._borg_directory = storage, borg_directory
        self._created: set[str] = set()
        self._agents: dict[int, tuple[Agent, threading.Thread]] = {}
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        deadline = time.monotonic() + END_SECONDS
        for _agent, thread in self._agents.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def assemble(self) -> None:
        """Create the clients that the cues name, and wait until their agents have registered.

        :raises FleetError: the server refuses one of the names, or an agent does not register.
        """
        self.look()
        for agent, _thread in self._agents.values():
            if not agent.registered.wait(REGISTRATION_SECONDS):
                raise FleetError(f"The simulated agent of {agent.name} did not register.")

    def look(self) -> None:
        """Take up new cues, and give an agent to every client that should have one and has a key to be read.

        :raises FleetError: the server refuses.
        """
        self._cues.look()
        clients = {client["name"]: client for client in self._request("GET", "/clients")["clients"]}
        # Each once: a client that was deleted stays deleted.
        for name in set(self._cues.current.names) - self._created:
            self._created.add(name)
            if name not in clients:
                clients[name] = self._request("POST", "/clients", {"name": name})
        running = {client_id for client_id, (_agent, thread) in self._agents.items() if thread.is_alive()}
        for name, client in clients.items():
            if client["id"] in running:
                self._agents[client["id"]][0].name = name
            elif self._cues.current.of(name) is not None:
                self._begin(client["id"], name)

    def _begin(self, client_id: int, name: str) -> None:
        key = self._request("GET", f"/clients/{client_id}").get("api_key")
        if key is None:  # an agent has registered with it already
            return
        agent = Agent(
            name=name,
            api=Api(self._url, key),
            cue=lambda name: self._cues.current.of(name),
            storage=self._storage,
            borg_directory=self._borg_directory,
            tell=self._tell,
            stopping=self._stopping,
        )
        self._agents[client_id] = agent, agent.start()

    def _request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with _DIRECT.open(request, timeout=30) as reply:
                answer: dict[str, Any] = json.load(reply)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise FleetError(f"{method} {path}: {error.read().decode(errors='replace').strip()}") from error


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy of the environment is for other hosts."""
