# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories: where the archives of a client are kept (admin-api.md §5.2)."""

from __future__ import annotations

import secrets
from typing import Any

from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import Converger
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import ApiError, BbsError, InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import UNREADABLE, Field, Ref, filled, slug
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object, chosen, missing
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result

DEFAULT_ENCRYPTION = "repokey-blake2"
ENCRYPTIONS = ["none", "repokey", "repokey-blake2", "authenticated", "authenticated-blake2"]


def _reference(option: str) -> Any:
    """Reads where a repository lies; upstream does not return that at all (admin-api.md §5.2)."""

    def read(obj: Any) -> Any:
        number = obj.get(f"{option}_id", UNREADABLE)
        return number if number in (None, UNREADABLE) else Ref(number, obj.get(f"{option}_name") or str(number))

    return read


def _id_of(ref: Ref | None) -> int | None:
    return None if ref is None else ref.id


REPOSITORY = Resource(
    name="repository",
    collection="/clients/{client_id}/repositories",
    items="repositories",
    identity=slug,
    fields=(
        Field("name", normalise=slug, spec={"required": True}),
        Field("encryption", mutable=False, spec={"choices": ENCRYPTIONS}),
        # The server would take an empty one for none, and make another.
        Field("passphrase", normalise=filled, mutable=False, secret=True),
        Field("storage_type", mutable=False, spec={"choices": ["local", "remote_ssh"]}),
        Field(
            "storage_location",
            wire="storage_location_id",
            read=_reference("storage_location"),
            to_wire=_id_of,
            mutable=False,
        ),
        Field(
            "remote_ssh_config",
            wire="remote_ssh_config_id",
            read=_reference("remote_ssh_config"),
            to_wire=_id_of,
            mutable=False,
        ),
    ),
)


def new_passphrase() -> str:
    """128 random bits in groups that can be read out aloud."""
    return "-".join(secrets.token_hex(2).upper() for group in range(8))


class Repositories(Converger):
    resource = REPOSITORY
    reads = ("repositories",)

    def desired(self, current: Object | None) -> dict[str, Any]:
        wanted = super().desired(current)
        for option, kind in (("storage_location", "local"), ("remote_ssh_config", "remote_ssh")):
            if wanted.get(option) is not None:
                wanted[option] = self.storage(option, kind, wanted[option])
        if wanted.get("remote_ssh_config") is not None:
            wanted.setdefault("storage_type", "remote_ssh")
        elif current is None and wanted.get("storage_type") == "remote_ssh":
            raise InvalidOption(f"To create the repository {self.name} on another host, give remote_ssh_config.")
        return wanted

    def storage(self, option: str, kind: str, name: str) -> Ref:
        """A storage location or a remote SSH config, by name or id."""
        listed = self.api.get_list("/storage", kind)
        found = chosen(listed, option.replace("_", " "), name, str.strip)
        # An unknown location would silently become the default one (admin-api.md §10, 6).
        return found or missing(self.task, option.replace("_", " "), name, "the web interface or the API")

    def create(self, outcome: Outcome) -> Object:
        """Create with a passphrase of our own making, so that a lost answer does not lose it.

        :raises BbsError: borg could not initialise it; whatever was created is removed again
        """
        body = dict(outcome.payload)
        if not body.get("passphrase") and body.get("encryption", DEFAULT_ENCRYPTION) != "none":
            body["passphrase"] = new_passphrase()
        created = self.post(body)
        if created.get("warning"):
            self.delete(created)
            raise BbsError(
                f"The repository {body['name']} was not created, because borg could not initialise it: "
                f"{created['warning']}"
            )
        return created

    def update(self, outcome: Outcome, current: Object) -> Object:
        """Rename: the only change there is. The answer tells where borg finds it from now on (admin-api.md §5.2)."""
        answer = self.api.put(self.path(current), outcome.payload)
        return {**current, **outcome.payload, "path": answer.get("path")}

    def delete(self, current: Object) -> None:
        if self.task.params["delete_plans"]:
            self.delete_plans(current["id"])
        try:
            self.delete_at(self.path(current), {"keep_data": 1} if self.task.params["keep_data"] else None)
        except ApiError as error:
            if error.body.get("reason") != "plans_attached":
                raise
            plans = ", ".join(plan["name"] for plan in error.body.get("plans", []))
            raise InvalidOption(
                f"The repository {current['name']} is in use by these plans: {plans}. Remove them first, "
                "or set delete_plans to true."
            ) from error

    def delete_plans(self, repository_id: int) -> None:
        """A repository goes only after the plans that write into it (admin-api.md §11)."""
        plans = f"/clients/{self.client_id}/plans"
        for plan in self.api.get_list(plans, "plans"):
            if plan["repository_id"] == repository_id:
                self.delete_at(f"{plans}/{plan['id']}")

    def report(self, obj: Object | None, outcome: Outcome) -> Result:
        created = outcome.action == "create" and not self.task.check_mode
        passphrase = (obj or {}).get("passphrase") if created else None
        repository = obj and {key: value for key, value in obj.items() if key != "passphrase"}
        return {**super().report(repository, outcome), "passphrase": passphrase}


MODULE = Module(
    name="bbs_repository",
    options={
        "client": {"type": "str", "required": True},
        **REPOSITORY.argument_spec(),
        "new_name": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "keep_data": {"type": "bool", "default": False},
        "delete_plans": {"type": "bool", "default": False},
    },
    perform=Repositories.perform,
)
