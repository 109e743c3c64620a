# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is calling: API tokens for operators, keys for agents, and the limit on guessing them."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

from flask import g, request

from bbs_server import dry_run
from bbs_server.db.statements import Statement, slot
from bbs_server.errors import Forbidden, TooManyFailures, Unauthorized
from bbs_server.models import Client, FailedLogin, Token, User
from bbs_server.runtime import REHEARSAL, Runtime, runtime
from bbs_server.secrets import fingerprint

LADDER = ("read", "provision", "admin")
"""Scopes of API tokens of which each includes those before it."""

METRICS = "metrics"
"""Opens the metrics and nothing else; every other scope opens them too."""

SCOPES = (*LADDER, METRICS)
"""All scopes of API tokens."""

MAXIMUM_FAILURES = 20
WINDOW = timedelta(seconds=300)
"""Failed attempts of one address in one window before further failures are answered 429 (admin-api.md §2.2)."""

_REMEMBER_USE_AFTER = timedelta(seconds=60)

_TOKEN = Statement(lambda: Token.select(Token, User).join(User).where(Token.token_hash == slot("hash")))
_CLIENT = Statement(lambda: Client.select().where(Client.key_hash == slot("hash")))
_HEARTBEAT = Statement(lambda: Client.update(last_heartbeat=slot("now")).where(Client.id == slot("id")))

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Principal:
    """The token a request came with, and whose it is."""

    token: Token
    user: User

    @property
    def is_admin(self) -> bool:
        """Whether the token's user is an administrator."""
        return bool(self.user.role == "admin")

    def has(self, scope: str) -> bool:
        """Whether the token's scope includes this one."""
        if METRICS in (scope, self.token.scope):
            return scope == METRICS
        return LADDER.index(scope) <= LADDER.index(self.token.scope)

    @property
    def may_see_agent_keys(self) -> bool:
        """Whether this caller installs agents; readers and other users do not."""
        return self.is_admin and self.has("provision")


def principal() -> Principal:
    """The authenticated caller of the current request."""
    found: Principal = g.principal
    return found


def agent() -> Client:
    """The client whose agent sent the current request."""
    found: Client = g.agent
    return found


def presented_key() -> str:
    """The fingerprint of the agent key the current request came with."""
    found: str = g.presented_key
    return found


def requires(scope: str, *, any_user: bool = False) -> Callable[[View], View]:
    """Let a route in only for tokens of a scope.

    :param any_user: tokens of users who are not administrators pass too; they see only their own clients.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.principal = _authenticate_token(runtime())
            if not any_user and not g.principal.is_admin:
                raise Forbidden("This needs a token of an administrator.")
            if not g.principal.has(scope):
                raise Forbidden(
                    f"This needs a token with the scope {scope!r}; this one has {g.principal.token.scope!r}."
                )
            if dry_run.asked() and REHEARSAL not in g:
                return dry_run.rehearse(view, kwargs)
            return view(*args, **kwargs)

        return _marked(cast(View, guarded), scope, any_user=any_user)

    return decorate


def requires_agent(view: View) -> View:
    """Let a route in only with a client's agent key, and note that its agent is alive."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        g.agent = _authenticate_agent(runtime())
        return view(*args, **kwargs)

    return _marked(cast(View, guarded), "agent")


def public(view: View) -> View:
    """Declare that a route needs no credentials."""
    return _marked(view, None)


def _marked(view: View, scope: str | None, *, any_user: bool = False) -> View:
    """Note on a view who may call it, for the OpenAPI document; decorators around it hand that on."""
    vars(view).update(required_scope=scope, any_user=any_user)
    return view


def _authenticate_token(run: Runtime) -> Principal:
    text = _bearer("Missing authorization token. Send the header: Authorization: Bearer <token>")
    token = _TOKEN.first(hash=fingerprint(text))
    now = run.clock()
    if token is None or (token.expires_at and token.expires_at <= now):
        _count_failure(run, "admin_api", "This API token is unknown or has expired.")
    if token.last_used_at is None or now - token.last_used_at >= _REMEMBER_USE_AFTER:
        address = _address()
        Token.update(last_used_at=now, last_seen_ip=address).where(Token.id == token.id).execute()
        token.last_used_at, token.last_seen_ip = now, address
    return Principal(token, token.user)


def _authenticate_agent(run: Runtime) -> Client:
    text = _bearer("Missing authorization token. Send the header: Authorization: Bearer <agent key>")
    g.presented_key = fingerprint(text)
    now, seen = run.clock(), dict[Any, Any]()
    client: Client | None = _CLIENT.first(hash=g.presented_key)
    if client is None:
        replaced = (Client.previous_key_hash == g.presented_key) & (Client.previous_key_until > now)
        client = Client.get_or_none(replaced)
    elif client.previous_key_hash is not None:
        # Whoever uses the new key does not need the one before.
        seen = {Client.previous_key_hash: None, Client.previous_key_until: None}
    if client is None:
        _count_failure(run, "agent_api", "This agent key is unknown.")
    if client.key_expires_at is not None and client.key_expires_at <= now:
        _count_failure(run, "agent_api", "This agent key has expired: no agent registered in time. Make a new one.")
    if seen:
        Client.update({**seen, Client.last_heartbeat: now}).where(Client.id == client.id).execute()
    elif client.last_heartbeat != now:
        _HEARTBEAT.execute(now=now, id=client.id)
    client.last_heartbeat = now
    return client


def _bearer(missing: str) -> str:
    # The scheme is case-sensitive and followed by exactly one space (admin-api.md §2.1).
    match = re.fullmatch(r"Bearer (\S.*)", request.headers.get("Authorization", ""))
    if match is None:
        raise Unauthorized(missing)
    return match[1]


def _count_failure(run: Runtime, bucket: str, message: str) -> NoReturn:
    """Note a failure, then refuse: 401, or 429 once the address has failed too often.

    Only failures are limited, so a valid token always passes, whoever shares its address.
    """
    now, address = run.clock(), _address()
    theirs = (FailedLogin.bucket == bucket) & (FailedLogin.address == address) & (FailedLogin.window_ends > now)
    many: FailedLogin | None = FailedLogin.get_or_none(theirs & (FailedLogin.failures >= MAXIMUM_FAILURES))
    if many is not None:
        # Without a transaction that would hold up those who write.
        wait = math.ceil((many.window_ends - now).total_seconds())
        raise TooManyFailures("Too many failed attempts from this address. Try again later.", wait)
    with run.writing():
        FailedLogin.delete().where(FailedLogin.window_ends <= now).execute()
        row, _ = FailedLogin.get_or_create(
            bucket=bucket, address=address, defaults={"failures": 0, "window_ends": now + WINDOW}
        )
        FailedLogin.update(failures=FailedLogin.failures + 1).where(FailedLogin.id == row.id).execute()
    raise Unauthorized(message)


def _address() -> str:
    return request.remote_addr or "unknown"
