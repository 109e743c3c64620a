# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding objects by the names that people give them (admin-api.md §11)."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Sequence

from ansible_collections.borgfleet.bbs.plugins.module_utils._client import ApiClient
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    Ambiguous,
    ApiError,
    InvalidOption,
    NotFound,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Ref, unchanged
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Task

Object = Dict[str, Any]


def only(kind: str, name: str, objects: list[Object]) -> Object | None:
    """The one object that carries a name, or None.

    :raises Ambiguous: names are not unique on every server (admin-api.md §3)
    """
    if len(objects) > 1:
        ids = ", ".join(str(item["id"]) for item in sorted(objects, key=lambda item: int(item["id"])))
        raise Ambiguous(f"There are {len(objects)} {kind}s named {name} (ids {ids}): rename or remove all but one.")
    return objects[0] if objects else None


def named(
    api: ApiClient,
    collection: str,
    items: str,
    kind: str,
    name: str,
    identity: Callable[[str], str] = unchanged,
) -> Object | None:
    """The object of a list that carries a name, or None.

    The query narrows the answer where the server filters; others ignore it and answer with everything.
    """
    wanted = identity(name)
    listed = api.get_list(collection, items, {"name": wanted})
    return only(kind, name, [item for item in listed if identity(item["name"]) == wanted])


def find_client(api: ApiClient, name: str) -> Object | None:
    """A client by name, or by id when nothing has that name and it is a number."""
    name = written("client", name)
    found = named(api, "/clients", "clients", "client", name)
    if found is None and name.isdecimal():
        return existing(api, f"/clients/{int(name)}")
    return found


def written(kind: str, name: str) -> str:
    """A name that a playbook refers to something by, as servers store it.

    :raises InvalidOption: it is blank
    """
    trimmed = name.strip()
    if not trimmed:
        raise InvalidOption(f"{kind} must not be empty.")
    return trimmed


def existing(api: ApiClient, path: str) -> Object | None:
    """What a path holds, or None when the server says that it is not there."""
    try:
        found: Object = api.get(path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return found


def client_ref(task: Task, name: str) -> Ref:
    """The client that a task names.

    :raises NotFound: there is none, and this is not check mode, where an earlier task might have made it
    """
    found = find_client(task.api, name)
    if found is not None:
        return Ref(found["id"], found["name"])
    return missing(task, "client", name, "bbs_client")


def missing(task: Task, kind: str, name: str, module: str) -> Ref:
    """A stand-in for what check mode would have created before; a failure otherwise."""
    problem = f"There is no {kind} named {name} on {task.api.url}"
    if task.check_mode:
        if not task.foreseen(kind, name):
            task.warn(f"{problem}. If an earlier task of this play creates it, ignore this.")
        return Ref(None, name)
    raise NotFound(f"{problem}: create it first with {module}.")


def reference(
    api: ApiClient,
    collection: str,
    items: str,
    kind: str,
    name: str,
    identity: Callable[[str], str] = unchanged,
) -> Ref | None:
    """What a name, or else an id, refers to in a list; None when there is no such object."""
    name = written(kind, name)
    found = named(api, collection, items, kind, name, identity)
    if found is not None:
        return Ref(found["id"], found["name"])
    return chosen(api.get_list(collection, items), kind, name, identity) if name.isdecimal() else None


def chosen(objects: Sequence[Mapping[str, Any]], kind: str, name: str, name_of: Callable[[str], str]) -> Ref | None:
    """The object among some that carries a name, or whose id it is."""
    name = written(kind, name)
    matches = [dict(item) for item in objects if name_of(item["name"]) == name_of(name)]
    if not matches and name.isdecimal():
        matches = [dict(item) for item in objects if item["id"] == int(name)]
    found = only(kind, name, matches)
    return None if found is None else Ref(found["id"], found["name"])
