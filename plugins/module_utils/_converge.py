# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one object of the server into the state that a task asks for: find, reconcile, send, report."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    ApiError,
    InvalidOption,
    RouteMissing,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import (
    Object,
    client_ref,
    find_client,
    named,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome, Policy, reconcile
from ansible_collections.borgfleet.bbs.plugins.module_utils._remembering import RememberingApi
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Result, Task

CONFLICT = 409


class Converger:
    """The life of one object within one task. Subclasses say what is special about their kind.

    Objects of a client live below it; ``client_id`` is None while check mode only imagines the client.
    """

    resource: Resource
    of_client: ClassVar[bool] = True
    # Lists of the client that a task looks into, as RememberingApi names them.
    reads: ClassVar[tuple[str, ...]] = ()

    def __init__(self, task: Task) -> None:
        self.task = task
        task.connect = partial(RememberingApi, lists=self.reads)
        self.name: str = task.params["name"].strip()
        if not self.name:
            raise InvalidOption("name must not be empty.")
        self.new_name: str = (task.params.get("new_name") or "").strip()
        self.client_id: int | None = None

    @classmethod
    def perform(cls, task: Task) -> Result:
        return cls(task).run()

    @property
    def api(self) -> Any:
        return self.task.api

    def run(self) -> Result:
        """Converge, or in check mode only say what would be done."""
        current = self.locate()
        try:
            return self.converged(current)
        except ApiError as error:
            if current is not None or error.status != CONFLICT:
                raise
            # Another controller may have created it since we looked: then what it made is what there is.
            rival = self.locate()
            if rival is None:
                raise
            return self.converged(rival)

    def converged(self, current: Object | None) -> Result:
        desired = None if self.task.params["state"] == "absent" else self.desired(current)
        outcome = self.reconcile(desired, current)
        self.warn_unreadable(outcome)
        if self.task.check_mode or not outcome.changed:
            result = self.predicted(outcome, current)
        else:
            result = self.apply(outcome, current)
        return {
            "changed": outcome.changed,
            "diff": {"before": outcome.before, "after": outcome.after},
            **self.report(result, outcome),
        }

    def locate(self) -> Object | None:
        """The object as it is, under its name or, after a rename, under the new one."""
        if self.of_client:
            absent = self.task.params["state"] == "absent"
            self.client_id = self.client_of_absent() if absent else self.client()
            if self.client_id is None:
                return None
        current = self.find(self.name)
        if not self.new_name or self.same_name(self.new_name, self.name):
            return current
        renamed = self.find(self.new_name)
        if current is not None and renamed is not None:
            raise InvalidOption(
                f"The {self.resource.name} {self.name} cannot be renamed: there is already one named "
                f"{self.new_name} (id {renamed['id']})."
            )
        return current if current is not None else renamed

    def client(self) -> int | None:
        return client_ref(self.task, self.task.params["client"]).id

    def client_of_absent(self) -> int | None:
        """What belongs to a client that is gone is gone as well."""
        found = find_client(self.api, self.task.params["client"])
        return None if found is None else found["id"]

    @property
    def collection(self) -> str:
        return self.resource.collection.format(client_id=self.client_id)

    def path(self, obj: Object) -> str:
        return f"{self.collection}/{obj['id']}"

    def same_name(self, one: str, other: str) -> bool:
        return self.resource.identity(one) == self.resource.identity(other)

    def find(self, name: str) -> Object | None:
        resource = self.resource
        return named(self.api, self.collection, resource.items, resource.name, name, resource.identity)

    def desired(self, current: Object | None) -> dict[str, Any]:
        """The options that the task gives, with the name that the object shall have in the end."""
        params = self.task.params
        given = {f.option: params[f.option] for f in self.resource.fields if f.option in self.task.given}
        return {**given, "name": self.new_name or self.name}

    def policy(self) -> Policy:
        return Policy(update_unreadable=bool(self.task.params.get("update_unreadable")))

    def reconcile(self, desired: dict[str, Any] | None, current: Object | None) -> Outcome:
        return reconcile(self.resource, desired, current, self.policy())

    def warn_unreadable(self, outcome: Outcome) -> None:
        if outcome.unreadable:
            self.task.warn(
                f"This server does not tell {', '.join(outcome.unreadable)} of the {self.resource.name} "
                f"{self.name}, so the task leaves it as it is."
            )

    def predicted(self, outcome: Outcome, current: Object | None) -> Object | None:
        """The object as it will be, as far as it is known without asking."""
        if outcome.action == "delete":
            return None
        return None if current is None and not outcome.changed else {**(current or {}), **outcome.payload}

    def apply(self, outcome: Outcome, current: Object | None) -> Object | None:
        if current is None:
            return self.create(outcome)
        if outcome.action == "update":
            return self.update(outcome, current)
        self.delete(current)
        return None

    def create(self, outcome: Outcome) -> Object:
        return self.post(outcome.payload)

    def post(self, body: dict[str, Any]) -> Object:
        answer = self.api.post(self.collection, body, lambda: self.find(body["name"]))
        return {**body, **answer}

    def update(self, outcome: Outcome, current: Object) -> Object:
        if outcome.payload:
            self.api.put(self.path(current), outcome.payload)
        return {**current, **outcome.payload}

    def delete(self, current: Object) -> None:
        self.delete_at(self.path(current))

    def delete_at(self, path: str, query: dict[str, Any] | None = None) -> None:
        """Remove what a path holds; being gone already is as good."""
        try:
            self.api.delete(path, query)
        except ApiError as error:
            if error.status != 404 or isinstance(error, RouteMissing):
                raise

    def report(self, obj: Object | None, outcome: Outcome) -> Result:
        """What the task returns beside ``changed`` and ``diff``."""
        return {self.resource.result_key: obj, "id": (obj or {}).get("id")}
