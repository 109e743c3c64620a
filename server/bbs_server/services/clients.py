# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients: machines that are backed up, and how their agents get in (admin-api.md §5.1)."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import peewee

from bbs_server import auth, durable
from bbs_server.borg.keys import AuthorizedKeys, generate
from bbs_server.db import naive
from bbs_server.db.statements import Statement, slot
from bbs_server.errors import Conflict, Invalid, NotFound, ServerFault
from bbs_server.models import Client, Job, Plan, Repository, StorageLocation, User
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.secrets import fingerprint
from bbs_server.services import agent_keys, audit, freshness, ids, moves, names, repositories, storage, trash
from bbs_server.services.undo import Undo, undoing

_ONE = Statement(lambda: Client.select(Client, User).join(User, peewee.JOIN.LEFT_OUTER).where(Client.id == slot("id")))

LARGEST_COUNT = 2**31 - 1
"""More rows than there are."""

_SECONDS = len("2026-11-26 12:00:00")
"""As much of a time's text as the API shows; one database gives the text, the other a time."""

MISSED_POLLS = 3
"""Polls an agent may miss before its client counts as offline (agent-protocol.md §9.1)."""


def online_since(run: Runtime) -> datetime:
    """Clients heard of at or after this time are online."""
    return run.clock() - timedelta(seconds=MISSED_POLLS * run.settings.agent_poll_interval)


def status(run: Runtime, client: Client) -> str:
    """``setup`` until an agent has called, then ``online`` or ``offline``."""
    if client.last_heartbeat is None:
        return "setup"
    return "online" if client.last_heartbeat >= online_since(run) else "offline"


def find(caller: auth.Principal, client_id: int) -> Client:
    """One client.

    :raises NotFound: unknown, or not visible to the caller.
    """
    client: Client | None = _ONE.first(id=client_id)
    if client is None or not (caller.is_admin or client.owner_id == caller.user.id):
        raise NotFound("Client not found.")
    return client


def listed(
    run: Runtime, caller: auth.Principal, name: str | None = None, *, limit: int | None = None, offset: int = 0
) -> Iterator[list[dict[str, Any]]]:
    """The clients a caller may see, by name: all for administrators, else their own; so many at a time.

    :param name: at most the one of that name.
    """
    named = {} if name is None else {"name": name}
    rows = _rows(_own(caller) | named, limit=limit, offset=offset)
    return (_summaries(run, some) for some in ids.parts(rows))


def shown(run: Runtime, client: Client) -> dict[str, Any]:
    """One client as it stands in lists."""
    return _summaries(run, _rows({"id": client.id}))[0]


def _own(caller: auth.Principal) -> dict[str, int]:
    return {} if caller.is_admin else {"owner": caller.user.id}


def _rows(columns: dict[str, Any], *, limit: int | None = None, offset: int = 0) -> list[tuple[Any, ...]]:
    """Clients with these values in these columns, by name."""
    page = {"limit": LARGEST_COUNT if limit is None else limit, "offset": offset}
    # No models are made of the rows: it would take longer than all the rest.
    return _listing(*columns).raw(**page, **columns)


@functools.cache
def _listing(*columns: str) -> Statement:
    def make() -> Any:
        rows = Client.select(
            Client.id, Client.name, Client.hostname, Client.ip_address, Client.os_info, Client.borg_version,
            Client.agent_version, Client.last_heartbeat, Client.registered_at, Client.created_at, User.username,
        ).join(User, peewee.JOIN.LEFT_OUTER)  # fmt: skip
        for column in columns:
            rows = rows.where(getattr(Client, column) == slot(column))
        ordered = rows.order_by(names.alphabetically(Client.name), Client.id)
        return ordered.limit(slot("limit")).offset(slot("offset")).tuples()

    return Statement(make)


def _summaries(run: Runtime, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Upstream's fields of clients, and whether their backups are recent enough."""
    fresh = freshness.of_clients(run, [row[0] for row in rows])
    since = naive(online_since(run)).isoformat(" ")
    return [
        {
            "id": number,
            "name": name,
            "hostname": hostname,
            "ip_address": address,
            "os_info": system,
            "borg_version": borg,
            "agent_version": agent,
            "status": "setup" if heard is None else "online" if str(heard) >= since else "offline",
            "last_heartbeat": heard and str(heard)[:_SECONDS],
            "registered_at": registered and str(registered)[:_SECONDS],
            "created_at": str(created)[:_SECONDS],
            "owner": owner,
            "client_profile_id": None,
            "client_profile_name": None,
            "stale": number in fresh.stale,
            "never_backed_up": number not in fresh.backed_up,
        }
        for number, name, hostname, address, system, borg, agent, heard, registered, created, owner in rows
    ]


def create(run: Runtime, name: str) -> dict[str, Any]:
    """Register a machine: a row, an agent key, an SSH key let in through the gate, a folder.

    :raises Conflict: the name is taken.
    :raises ServerFault: the folder or the key cannot be written.
    """
    name = names.checked(name)
    key, pair = agent_keys.generate(run), generate()
    try:
        with undoing(run) as undo, run.writing():
            client = Client.create(
                name=name,
                key_hash=fingerprint(key),
                key_expires_at=agent_keys.enrolment_ends(run),
                ssh_public_key=pair.public,
                created_at=run.clock(),
            )
            client.sealed_key = run.keyring.seal(key, table="clients", column="key", row=client.id)
            client.sealed_ssh_private_key = run.keyring.seal(
                pair.private, table="clients", column="ssh_private_key", row=client.id
            )
            client.save()
            audit.record(run, "client.create", f'Client "{name}" created.', client=client)
            _provision(run, client, undo)
    except peewee.IntegrityError as error:
        raise _name_taken(name) from error
    return {
        "id": client.id,
        "name": name,
        "api_key": key,
        "status": "setup",
        "install_command": install_command(run, key),
    }


def rename(run: Runtime, client: Client, name: str) -> None:
    """Give a client another name; its folder and keys stay.

    :raises Conflict: the name is taken.
    """
    name = names.checked(name)
    if name == client.name:
        return
    try:
        with run.writing():
            audit.record(run, "client.update", f'Client "{client.name}" renamed to "{name}".', client=client)
            Client.update(name=name).where(Client.id == client.id).execute()
    except peewee.IntegrityError as error:
        raise _name_taken(name) from error


def delete(run: Runtime, client: Client, *, force: bool = False) -> None:
    """Remove a client, its plans, repositories and jobs; its folders go to the trash.

    :param force: also when jobs are active.
    :raises Conflict: archives are locked, or jobs are active.
    """
    authorized = AuthorizedKeys(run.settings.ssh_directory)
    with moves.moving(run) as moving, undoing(run) as undo, run.writing():
        repositories.refuse_locked(Repository.client == client)
        active = Job.select().where((Job.client == client) & Job.status.in_(states.ACTIVE)).count()
        if active and not force:
            raise Conflict(
                f"The client has {active} active job(s): wait for them, cancel them, or delete with force.",
                reason="active_jobs",
            )
        owned = list(Repository.select(Repository, Client).join(Client).where(Repository.client == client))
        Plan.delete().where(Plan.client == client).execute()
        client.delete_instance()
        audit.record(run, "client.delete", f'Client "{client.name}" deleted.')
        places = {
            location.id: trash.discard(run, moving, Path(location.path), storage.client_directory(location, client.id))
            for location in StorageLocation.select()
        }
        for repository in owned:
            location_id = repository.storage_location_id
            place = places[location_id] / repository.name if location_id else repository.path
            repositories.remember(run, repository, place)
        run.act(authorized.remove, client.id)
        undo.by(authorized.add, client.id, client.ssh_public_key)


def rotate_key(run: Runtime, client: Client, overlap: timedelta = timedelta()) -> dict[str, Any]:
    """Give a client a new agent key, and how to install an agent with it.

    :param overlap: how long the old key works on, at most until the new one is used; none: it ends at once.
    """
    key = agent_keys.rotate(run, client, overlap)
    return {"id": client.id, "api_key": key, "install_command": install_command(run, key)}


def installation(run: Runtime, client: Client) -> dict[str, Any]:
    """How to install the agent on a client's machine."""
    key = agent_keys.readable(run, client)
    return {
        "command": install_command(run, key) if key else None,
        "api_key": key,
        "server_url": run.settings.url,
        "os_hint": "linux",
        "status": status(run, client),
    }


def install_command(run: Runtime, key: str) -> str:
    """The one line that installs an agent (admin-api.md §5.1).

    ``-f`` makes curl fail on an error page instead of handing it to the shell. ``exit 1`` is only read when
    the installer did not arrive whole, which would otherwise pass for success.
    """
    url = shlex.quote(run.settings.url)
    download = f"curl -fsS {shlex.quote(run.settings.url + '/get-agent')}"
    return f"{{ {download}; echo; echo exit 1; }} | sudo bash -s -- --server {url} --key {key}"


def require_change(values: dict[str, Any]) -> None:
    """Refuse an update that names no field.

    :raises Invalid: nothing to update.
    """
    if not values:
        raise Invalid("No fields to update: send name.")


def _name_taken(name: str) -> Conflict:
    return Conflict(f'A client named "{name}" already exists.', reason="name_taken")


def _provision(run: Runtime, client: Client, undo: Undo) -> None:
    """Make a client's folder and let its key in.

    :raises ServerFault: the file system refuses.
    """
    directory, authorized = (
        storage.client_directory(storage.home(), client.id),
        AuthorizedKeys(run.settings.ssh_directory),
    )
    try:
        run.act(_make_home, directory)
        undo.by(directory.rmdir)
        # Noted beforehand: a key that is half written has to go too.
        undo.by(authorized.remove, client.id)
        run.act(authorized.add, client.id, client.ssh_public_key)
    except FileExistsError as error:
        raise ServerFault(
            f"The folder {directory} of the new client exists already, left over from another one: run"
            " 'bbs-server doctor --repair', which moves it away."
        ) from error
    except OSError as error:
        raise ServerFault(f"The client's folder or key could not be written: {error.strerror or error}.") from error


def _make_home(directory: Path) -> None:
    """Make a client's folder; an empty one was left by a process that was killed before it had written the row."""
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()
    durable.make_folder(directory, 0o750)
