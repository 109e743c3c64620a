# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The failures of a task. The text of each is the sentence that the user reads."""

from __future__ import annotations

from typing import Any, Mapping


class BbsError(Exception):
    """A failure that the task reports as its ``msg``.

    :param details: further keys of the failed result; no secrets
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class InvalidOption(BbsError):
    """What the playbook asks for is malformed or impossible."""


class Immutable(BbsError):
    """A field that only creation can set would have to change."""


class NotFound(BbsError):
    """A referenced object does not exist on the server."""


class Ambiguous(BbsError):
    """Several objects carry the name that should identify one (admin-api.md §3)."""


class TransportError(BbsError):
    """The server cannot be reached, or what answers is not a Borg Backup Server."""


class ApiError(BbsError):
    """The server answered with an error.

    :param status: HTTP status code
    :param reason: the server's own words; empty when it gave none
    :param body: the decoded JSON body; 409 answers carry details in it (admin-api.md §1)
    """

    def __init__(self, message: str, status: int, reason: str = "", body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, status=status)
        self.status = status
        self.reason = reason
        self.body = dict(body or {})


class RouteMissing(ApiError):
    """The server does not know the address at all: it is of another version (admin-api.md §9)."""
