# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a plugin describes its configuration, and how a configuration is checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bbs_server.backup_plugins import rules
from bbs_server.backup_plugins.rules import Rule
from bbs_server.errors import Invalid
from bbs_server.text import storable

MASK = "********"
"""What stands for a secret in lists; sent back, it means "as it was"."""

_DESCRIPTIONS = {
    "text": "text",
    "number": "a whole number",
    "checkbox": "true or false",
    "tags": "a list of texts, or one text with commas",
    "select": "one of its options",
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One key of a plugin's configuration (admin-api.md §5.6).

    :param kind: ``text``, ``number``, ``checkbox``, ``tags`` or ``select``.
    :param sensitive: sealed at rest, masked in lists.
    :param options: value and label of each choice of a ``select``.
    :param show_when: the option matters only when another one has this value.
    :param rule: what its values must be, beyond their type; an empty one is none.
    """

    kind: str
    label: str
    default: Any = None
    required: bool = False
    sensitive: bool = False
    help: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    show_when: Mapping[str, str] = field(default_factory=dict)
    rule: Rule | None = None

    def described(self) -> dict[str, Any]:
        """The form in ``/plugins/schema``: keys that say nothing are left out."""
        optional = {
            "default": self.default,
            "required": self.required or None,
            "sensitive": self.sensitive or None,
            "help": self.help,
            "options": dict(self.options) or None,
            "show_when": dict(self.show_when) or None,
        }
        return {"type": self.kind, "label": self.label} | {
            key: value for key, value in optional.items() if value is not None
        }

    def checked(self, name: str, value: Any) -> Any:
        """The value in its stored form.

        :raises Invalid: the wrong type, or against the rule; the value itself is never repeated.
        """
        # A list of texts stands for names with commas between them, which no secret is.
        converted = None if self.sensitive and isinstance(value, list) else _CONVERT[self.kind](value)
        if converted is None or (self.kind == "select" and converted not in self.options):
            allowed = ", ".join(repr(key) for key in self.options) if self.options else _DESCRIPTIONS[self.kind]
            raise Invalid(f"config.{name}: must be {allowed}.")
        if self.rule and converted != "" and (wanted := self.rule(converted)):
            raise Invalid(f"config.{name}: must be {wanted}.")
        return converted


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A backup plugin.

    :param identifier: the number on the wire; slugs are what clients should use.
    :param dump_option: the option that names a folder which the backup must contain.
    """

    identifier: int
    slug: str
    name: str
    description: str
    fields: Mapping[str, Option]
    plugin_type: str = "pre_backup"
    dump_option: str | None = None

    def described(self) -> dict[str, Any]:
        """The form in ``/plugins``."""
        return {
            "id": self.identifier,
            "slug": self.slug,
            "name": self.name,
            "description": self.description,
            "plugin_type": self.plugin_type,
            "is_active": 1,
        }

    def schema(self) -> dict[str, Any]:
        """The form in ``/plugins/schema``."""
        return {"name": self.name, "fields": {name: option.described() for name, option in self.fields.items()}}

    def sensitive(self) -> frozenset[str]:
        """The options whose values are secrets."""
        return frozenset(name for name, option in self.fields.items() if option.sensitive)

    def checked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The given options, each in its stored form.

        :raises Invalid: unknown option, or a value that is wrong.
        """
        unknown = sorted(set(config) - set(self.fields))
        if unknown:
            raise Invalid(f"config.{unknown[0]}: {self.slug} has no such option; it has {', '.join(self.fields)}.")
        return {name: self.fields[name].checked(name, value) for name, value in config.items()}

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration with defaults filled in.

        :raises Invalid: a required option is missing.
        """
        defaults = {name: option.default for name, option in self.fields.items() if option.default is not None}
        complete = {**defaults, **config}
        for name, option in self.fields.items():
            relevant = all(complete.get(other) == value for other, value in option.show_when.items())
            if option.required and relevant and complete.get(name) in (None, "", []):
                raise Invalid(f"config.{name}: is required for {self.slug}.")
        return complete


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 16:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(storable(item) for item in value):
        return ",".join(value)
    return value if storable(value) else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(str(value).lower())


def _tags(value: Any) -> list[str] | None:
    if storable(value):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, list) and all(storable(item) for item in value) else None


_CONVERT = {"text": _text, "number": _number, "checkbox": _flag, "tags": _tags, "select": _text}


ABORT_ON_FAILURE = Option(
    kind="checkbox",
    label="Stop the backup when this fails",
    default=False,
    help="Off: the backup goes on and the job ends with warnings.",
)
"""Every plugin has this option (admin-api.md §7)."""


def database_dump_options(
    *, port: int, dump_dir: str, excluded: list[str], extra_options: str, host: str = "localhost"
) -> dict[str, Option]:
    """What MySQL and PostgreSQL dumps have in common."""
    return {
        "host": Option(kind="text", label="Host", default=host),
        "port": Option(kind="number", label="Port", default=port, rule=rules.PORT),
        "user": Option(kind="text", label="User", default="bbs_backup", required=True),
        "password": Option(kind="text", label="Password", required=True, sensitive=True),
        **dump_options(dump_dir=dump_dir, excluded=excluded, extra_options=extra_options),
    }


def dump_options(*, dump_dir: str, excluded: list[str], extra_options: str) -> dict[str, Option]:
    """What all database dumps have in common."""
    return {
        "databases": Option(
            kind="text", label="Databases", default="*", help="Names with commas between them; * means all."
        ),
        "dump_dir": Option(
            kind="text",
            label="Dump folder",
            default=dump_dir,
            required=True,
            help="Dumps are written here; the folder becomes part of the backup.",
            # It becomes an argument of borg, too: a leading dash would make it an option.
            rule=rules.absolute,
        ),
        "compress": Option(kind="checkbox", label="Compress dumps with gzip", default=True),
        "cleanup_after": Option(kind="checkbox", label="Remove dumps after a completed backup", default=True),
        "exclude_databases": Option(kind="tags", label="Databases to leave out of *", default=excluded),
        "extra_options": Option(
            kind="text", label="More options of the dump program", default=extra_options, rule=rules.words
        ),
        "abort_on_failure": ABORT_ON_FAILURE,
    }
