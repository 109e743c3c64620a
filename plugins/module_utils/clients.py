# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients: the machines that are backed up (admin-api.md §5.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import Converger
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import ApiError, InvalidOption, RouteMissing
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field, stripped
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object
from ansible_collections.borgfleet.bbs.plugins.module_utils._moment import from_wire, utc_now
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result

CLIENT = Resource(
    name="client",
    collection="/clients",
    items="clients",
    fields=(Field("name", normalise=stripped, spec={"required": True}),),
)

LONGEST_OVERLAP_HOURS = 720

# What the one-time values are for is said by the module; everywhere else the key stays out of the result.
_SECRET_KEYS = ("api_key", "install_command")


class Clients(Converger):
    resource = CLIENT
    of_client = False

    def run(self) -> Result:
        overlap, self.rotates = self.overlap(), False
        result = super().run()
        if self.rotates:
            result["changed"] = True
            result["diff"]["after"] = {**result["diff"]["after"], "api_key": "(changed)"}
            if not self.task.check_mode:
                result.update(self.rotated(result["id"], overlap))
        return result

    def overlap(self) -> dict[str, int] | None:
        """What is sent of the overlap; looked at before anything is written."""
        hours = self.task.params["overlap_hours"]
        if hours is None:
            return None
        if not 0 <= hours <= LONGEST_OVERLAP_HOURS:
            raise InvalidOption(f"overlap_hours must be from 0 to {LONGEST_OVERLAP_HOURS}.")
        return {"overlap_hours": hours}

    def desired(self, current: Object | None) -> dict[str, Any]:
        self.rotates = self.task.params["rotate_key"] or self.has_old_key(current)
        return super().desired(current)

    def has_old_key(self, current: Object | None) -> bool:
        """Whether an agent has used the client's key for longer than ``rotate_key_after_days``."""
        days = self.task.params["rotate_key_after_days"]
        if days is None:
            return False
        if days < 1:
            raise InvalidOption("rotate_key_after_days must be at least 1.")
        if current is None:
            return False
        if "registered_at" not in current:
            raise InvalidOption(
                f"The server at {self.api.url} does not tell how old a key is: leave out rotate_key_after_days."
            )
        since = current["registered_at"]
        return since is not None and utc_now() - from_wire(since) > timedelta(days=days)

    def rotated(self, client_id: int, overlap: dict[str, int] | None) -> Result:
        answer = self.api.post(f"/clients/{client_id}/rotate-key", overlap)
        return {key: answer.get(key) for key in _SECRET_KEYS}

    def delete(self, current: Object) -> None:
        try:
            # Upstream removes a busy client without being told to, and ignores the query.
            self.delete_at(self.path(current), {"force": 1} if self.task.params["force"] else None)
        except ApiError as error:
            if error.body.get("reason") != "active_jobs":
                raise
            raise InvalidOption(
                f"The client {current['name']} has jobs that wait or run. Wait for them, cancel them with bbs_job, "
                "or set force to true."
            ) from error

    def report(self, obj: Object | None, outcome: Outcome) -> Result:
        client = {key: value for key, value in (obj or {}).items() if key not in _SECRET_KEYS}
        if obj is None or outcome.action == "delete":
            return {"client": None, "id": None, "status": None, "api_key": None, "install_command": None}
        return {
            "client": client,
            "id": client.get("id"),
            "status": client.get("status"),
            **self.credentials(obj),
        }

    def credentials(self, client: Object) -> dict[str, Any]:
        """The agent's key and the command that installs the agent, as far as the server still tells them."""
        if "id" not in client:
            return dict.fromkeys(_SECRET_KEYS)
        if client.get("install_command"):
            return {key: client.get(key) for key in _SECRET_KEYS}
        try:
            answer = self.api.get(f"/clients/{client['id']}/install")
            return {"api_key": answer.get("api_key"), "install_command": answer.get("command")}
        except RouteMissing:
            return self.assembled(client)

    def assembled(self, client: Object) -> dict[str, Any]:
        """For servers that cannot repeat the command: made from the key and the address in use."""
        key = client.get("api_key") or self.api.get(f"/clients/{client['id']}").get("api_key")
        command = f"curl -s {self.api.url}/get-agent | sudo bash -s -- --server {self.api.url} --key {key}"
        return {"api_key": key, "install_command": command if key else None}


MODULE = Module(
    name="bbs_client",
    options={
        **CLIENT.argument_spec(),
        "new_name": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "rotate_key": {"type": "bool", "default": False, "no_log": False},
        "rotate_key_after_days": {"type": "int", "no_log": False},
        "overlap_hours": {"type": "int"},
        "force": {"type": "bool", "default": False},
    },
    perform=Clients.perform,
)
