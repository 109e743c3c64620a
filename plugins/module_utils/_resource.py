# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kind of object on the server is, as the engine needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field, unchanged


def never(obj: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True)
class Resource:
    """A kind of object: where it lives, what names it, and which options it has.

    :param name: singular, as in messages; with underscores it is the key of the returned object
    :param collection: path of its list, with ``{client_id}`` for what belongs to a client
    :param items: the key that holds the list in the answer
    :param fields: the options that say how the object shall be
    :param identity: what the server makes of a name; two names are the same object when these are equal
    :param together: options that must travel in one request when one of them changes (admin-api.md §11)
    :param honours_null: whether the server that returned this object clears a value when sent null
    """

    name: str
    collection: str
    items: str
    fields: tuple[Field, ...]
    identity: Callable[[str], str] = unchanged
    together: tuple[str, ...] = ()
    honours_null: Callable[[Mapping[str, Any]], bool] = never

    @property
    def result_key(self) -> str:
        return self.name.replace(" ", "_")

    def argument_spec(self) -> dict[str, dict[str, Any]]:
        """The fields' part of Ansible's argument spec."""
        return {field.option: field.argument_spec() for field in self.fields if field.argument}
