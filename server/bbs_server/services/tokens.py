# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""API tokens: shown once, stored as a hash (admin-api.md §2, §5.9)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import peewee

from bbs_server.auth import SCOPES
from bbs_server.clock import wire
from bbs_server.errors import Conflict, Invalid, NotFound
from bbs_server.models import Token, User
from bbs_server.runtime import Runtime
from bbs_server.secrets import fingerprint
from bbs_server.services import audit, names

FEATURE = "token_limits"
"""What the server announces, as upstream's tokens have neither a scope nor an expiry that one can choose."""

PREFIX = "bbs_tok_"
_RANDOM_BYTES = 24

ADMINISTRATOR = "admin"


def ensure_administrator(run: Runtime) -> bool:
    """Create the first administrator, who cannot log in and only owns tokens. Returns whether it was missing."""
    if User.select().where(User.role == "admin").exists():
        return False
    User.create(username=ADMINISTRATOR, email="admin@localhost", role="admin", created_at=run.clock())
    return True


def administrator() -> User:
    """The administrator with the lowest id, who owns the tokens of ``bbs-token`` (admin-api.md §2.4).

    :raises NotFound: there is none.
    """
    found: User | None = User.select().where(User.role == "admin").order_by(User.id).first()
    if found is None:
        raise NotFound("There is no administrator: run 'bbs-server init' first.")
    return found


def create(
    run: Runtime,
    owner: User,
    name: str,
    *,
    scope: str = "admin",
    can_read_secrets: bool = False,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Mint a token.

    :return: its row and the token itself, which exists nowhere else.
    :raises Conflict: the name is taken.
    """
    name = names.checked(name)
    if scope not in SCOPES:
        raise Invalid(f"scope: must be one of {', '.join(SCOPES)}.")
    if expires_at is not None and expires_at <= run.clock():
        raise Invalid("expires_at: must be in the future.")
    text = PREFIX + run.token_bytes(_RANDOM_BYTES).hex()
    try:
        with run.writing():
            token: Token = Token.create(
                name=name,
                token_hash=fingerprint(text),
                user=owner,
                scope=scope,
                can_read_secrets=can_read_secrets,
                expires_at=expires_at,
                created_at=run.clock(),
            )
            audit.record(run, "token.create", f'Token "{name}" created with the scope {scope}.')
    except peewee.IntegrityError as error:
        raise Conflict(f'A token named "{name}" already exists.', reason="name_taken") from error
    return token, text


def listed(current: Token | None = None, name: str | None = None) -> list[dict[str, Any]]:
    """All tokens, newest first; with ``name`` at most that one."""
    rows = Token.select(Token, User).join(User).order_by(Token.created_at.desc(), Token.id.desc())
    if name is not None:
        rows = rows.where(Token.name == name)
    return [
        {
            "id": row.id,
            "name": row.name,
            "kind": "user",
            "scope": row.scope,
            "can_read_secrets": row.can_read_secrets,
            "user_id": row.user_id,
            "username": row.user.username,
            "created_at": wire(row.created_at),
            "last_used_at": wire(row.last_used_at),
            "last_seen_ip": row.last_seen_ip,
            "expires_at": wire(row.expires_at),
            "device_name": None,
            "is_current": current is not None and row.id == current.id,
        }
        for row in rows
    ]


def oldest_first() -> list[Token]:
    """All tokens with their users, in the order of ``bbs-token list``."""
    return list(Token.select(Token, User).join(User).order_by(Token.created_at, Token.id))


def find(token_id: int) -> Token:
    """One token.

    :raises NotFound: unknown.
    """
    found: Token | None = Token.get_or_none(Token.id == token_id)
    if found is None:
        raise NotFound("Token not found.")
    return found


def revoke(run: Runtime, token: Token) -> None:
    """End a token; requests with it fail from now on."""
    with run.writing():
        token.delete_instance()
        audit.record(run, "token.delete", f'Token "{token.name}" revoked.')


def revoke_named(run: Runtime, name: str) -> None:
    """End the token of that name.

    :raises NotFound: there is none.
    """
    found: Token | None = Token.get_or_none(Token.name == name)
    if found is None:
        raise NotFound(f'There is no token named "{name}".')
    revoke(run, found)
