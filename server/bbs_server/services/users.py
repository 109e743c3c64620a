# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users: who owns tokens and clients (admin-api.md §6). Nobody logs in with a password here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import peewee

from bbs_server.errors import Conflict, Invalid, NotFound
from bbs_server.models import User
from bbs_server.runtime import Runtime
from bbs_server.services import audit, names

ADMIN, USER = "admin", "user"
ROLES = (USER, ADMIN)
EMAIL_LENGTH = 255


def find(user_id: int) -> User:
    """One user.

    :raises NotFound: unknown.
    """
    found: User | None = User.get_or_none(User.id == user_id)
    if found is None:
        raise NotFound("User not found.")
    return found


def listed() -> list[dict[str, Any]]:
    """All users by name."""
    return [summary(row) for row in User.select().order_by(User.username, User.id)]


def summary(user: User) -> dict[str, Any]:
    """A user with upstream's fields; those of logins and screens say what holds for everybody here."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "role": user.role,
        "all_clients": user.role == ADMIN,
        "auth_provider": "local",
        "oidc_status": "active",
        "totp_enabled": False,
        "timezone": "UTC",
        "time_format": "24h",
    }


def create(run: Runtime, *, username: str, email: str, role: str) -> User:
    """Add a user.

    :raises Conflict: the name or the address is taken.
    """
    username, email, role = names.checked(username, "username"), _checked_email(email), _checked_role(role)
    try:
        with run.writing():
            user: User = User.create(username=username, email=email, role=role, created_at=run.clock())
            audit.record(run, "user.create", f'User "{username}" created with the role {role}.')
    except peewee.IntegrityError as error:
        raise _taken() from error
    return user


def update(run: Runtime, user: User, values: Mapping[str, Any]) -> User:
    """Change address or role.

    :raises Invalid: nothing to change, or a wrong value.
    :raises Conflict: the address is taken, or this is the last administrator.
    """
    if not values:
        raise Invalid("No fields to update: send email or role.")
    try:
        with run.writing():
            if "email" in values:
                user.email = _checked_email(values["email"])
            if "role" in values:
                role = _checked_role(values["role"])
                if role != ADMIN:
                    _refuse_last(user)
                user.role = role
            user.save()
            audit.record(run, "user.update", f'User "{user.username}" updated.')
    except peewee.IntegrityError as error:
        raise _taken() from error
    return user


def delete(run: Runtime, user: User, caller: User) -> None:
    """Remove a user with their tokens; their clients stay, without an owner.

    :raises Conflict: the caller's own user, or the last administrator.
    """
    if user.id == caller.id:
        raise Conflict("You cannot delete your own user.", reason="own_user")
    with run.writing():
        _refuse_last(user)
        user.delete_instance()
        audit.record(run, "user.delete", f'User "{user.username}" deleted.')


def _refuse_last(user: User) -> None:
    others = User.select().where((User.role == ADMIN) & (User.id != user.id))
    if user.role == ADMIN and not others.exists():
        raise Conflict("The last administrator must stay one.", reason="last_admin")


def _checked_email(email: str) -> str:
    if len(email) > EMAIL_LENGTH or not re.fullmatch(r"[^\s@]+@[^\s@]+", email):
        raise Invalid("email: must be an e-mail address.")
    return names.checked(email, "email", EMAIL_LENGTH)


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise Invalid(f"role: must be one of {', '.join(ROLES)}.")
    return role


def _taken() -> Conflict:
    return Conflict("A user with this name or e-mail address already exists.", reason="name_taken")
