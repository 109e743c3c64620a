# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys agents identify themselves with, from the first one to the agent's own (docs/adr/0001).

A client starts with a key for enrolment: readable for those who install agents, and worthless once
``enrolment_hours`` have passed. An agent that asks for it trades it for one of its own when it
registers; one that does not ask keeps the first. Wherever a key is replaced without a break, the one
before works until the new one is used for the first time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bbs_server.models import Client
from bbs_server.runtime import Runtime
from bbs_server.secrets import fingerprint
from bbs_server.services import audit

_BYTES = 32

EXCHANGE_OVERLAP = timedelta(days=1)
"""How long an agent that never heard its new key may still come with the one for enrolment."""


def generate(run: Runtime) -> str:
    """A new key: 64 hex digits (admin-api.md §5.1)."""
    return run.token_bytes(_BYTES).hex()


def enrolment_ends(run: Runtime) -> datetime | None:
    """When a key that is made now expires unless an agent registers with it."""
    hours = run.settings.enrolment_hours
    return run.clock() + timedelta(hours=hours) if hours else None


def has_expired(run: Runtime, client: Client) -> bool:
    """Whether no agent registered with the client's key in time."""
    return client.key_expires_at is not None and client.key_expires_at <= run.clock()


def readable(run: Runtime, client: Client) -> str | None:
    """The key of a client whose agent has yet to register; None once it has, or the key has expired."""
    if client.sealed_key is None or has_expired(run, client):
        return None
    return run.keyring.open(client.sealed_key, table="clients", column="key", row=client.id)


def rotate(run: Runtime, client: Client, overlap: timedelta = timedelta()) -> str:
    """Give a client a new key for enrolment.

    :param overlap: how long the old key works on, at most until the new one is used; none: it ends at once.
    :return: the new key.
    """
    key = generate(run)
    with run.writing():
        client.previous_key_hash = client.key_hash if overlap else None
        client.previous_key_until = run.clock() + overlap if overlap else None
        client.key_hash = fingerprint(key)
        client.sealed_key = run.keyring.seal(key, table="clients", column="key", row=client.id)
        client.key_expires_at, client.registered_at = enrolment_ends(run), None
        client.save(only=_COLUMNS)
        audit.record(run, "client.rotate_key", f'New agent key for "{client.name}".', client=client)
    return key


def registered(run: Runtime, client: Client, presented: str, *, exchange: bool) -> dict[str, Any]:
    """Take note that an agent registered: nobody needs to read its key any more, and it does not expire.

    :param presented: fingerprint of the key the agent came with.
    :param exchange: whether the agent takes a key of its own instead of the one for enrolment.
    :return: ``agent_key`` when it was given one, else nothing.
    """
    with run.writing():
        client = Client.get_by_id(client.id)
        first = client.registered_at is None and client.key_hash == presented
        # It came with the one for enrolment again: the answer with its own was lost on the way.
        again = client.previous_key_hash == presented and client.sealed_key is None
        if not (first or (again and exchange)):
            return {}
        if first:
            client.registered_at, client.sealed_key, client.key_expires_at = run.clock(), None, None
            audit.record(run, "agent.register", f'The agent of "{client.name}" registered.', client=client)
        given: dict[str, Any] = {}
        if exchange:
            given["agent_key"] = generate(run)
            client.key_hash = fingerprint(given["agent_key"])
            client.previous_key_hash, client.previous_key_until = presented, run.clock() + EXCHANGE_OVERLAP
        client.save(only=_COLUMNS)
    return given


_COLUMNS = (
    Client.key_hash,
    Client.sealed_key,
    Client.key_expires_at,
    Client.registered_at,
    Client.previous_key_hash,
    Client.previous_key_until,
)
