# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declaration, argument spec, documentation and OpenAPI say the same of every field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from collection_path import CHECKOUT
from documents import documented, imported

from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource

from .declared import CLIENT_CASE, PLAN_CASE, REPOSITORY_CASE, TOKEN_CASE, Case, plugin_cases

SCHEMAS = json.loads((CHECKOUT / "docs" / "openapi.json").read_text())["components"]["schemas"]
WIRE_TYPES = {"str": {"string", "integer"}, "int": {"integer"}, "bool": {"boolean"}, "list": {"string", "array"}}


@dataclass(frozen=True)
class Agreement:
    """A resource and the schemas of its requests and answers.

    :param change: None where nothing can be changed
    :param beside: keys of the requests that belong to no field, and what carries them instead
    """

    case: Case
    creation: str
    change: str | None
    shown: str
    beside: frozenset[str] = frozenset()

    @property
    def resource(self) -> Resource:
        return self.case.resource


HOOKS = next(case for case in plugin_cases() if case.key["plugin"] == "shell_hook")
AGREEMENTS = (
    Agreement(CLIENT_CASE, "ClientName", "ClientChange", "ListedClient"),
    Agreement(REPOSITORY_CASE, "RepositoryCreation", "RepositoryName", "RepositoryShown"),
    Agreement(PLAN_CASE, "PlanCreation", "PlanChange", "PlanShown"),
    # The options of the modules themselves: the plugin is a key, config and replace hold the fields.
    Agreement(
        HOOKS,
        "PluginConfigCreation",
        "PluginConfigChange",
        "PluginConfigShown",
        beside=frozenset({"plugin", "config", "replace"}),
    ),
    Agreement(TOKEN_CASE, "TokenCreation", None, "TokenShown"),
)


def properties(schema: str | None) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMAS[schema]["properties"] if schema else {}
    return found


def wire_types(schema: dict[str, Any]) -> set[str]:
    """The types that a property may have, null aside."""
    given = schema.get("type", [])
    kinds = {given} if isinstance(given, str) else set(given)
    for inner in schema.get("anyOf", []):
        kinds |= wire_types(inner)
    return kinds - {"null"}


def own_fields(resource: Resource) -> Iterator[Field]:
    return (f for f in resource.fields if not f.option.startswith("config."))


@pytest.fixture(params=AGREEMENTS, ids=lambda agreement: str(agreement.case))
def agreement(request: pytest.FixtureRequest) -> Agreement:
    found: Agreement = request.param
    return found


def test_every_field_everywhere(agreement: Agreement) -> None:
    """One walk: field, argument spec, documentation, and the schemas of creation, change and reading."""
    module = agreement.case.module
    spec = imported("modules", module).MODULE.argument_spec
    options = documented(module)[1]
    creation, change, shown = map(properties, (agreement.creation, agreement.change, agreement.shown))
    for field in own_fields(agreement.resource):
        where = f"{module} {field.option}"
        text = " ".join(options[field.option]["description"]) if field.argument else ""
        if field.argument:
            assert {**spec[field.option]} == field.argument_spec(), where
            documentation = options[field.option]
            for key in ("type", "elements", "choices", "required"):
                assert documentation.get(key) == field.argument_spec().get(key), where
            assert "default" not in documentation, f"{where}: the server decides what is left out"
            assert ("Cannot be changed" in text or "cannot be changed" in text) != field.mutable or (
                field.option == "name"
            ), where
            assert not field.clearable or "lear" in text or field.type == "list", where
        assert field.key in creation, where
        types = wire_types(creation[field.key])
        references = {"integer", "array"} if field.key.endswith(("_id", "plugins")) else set()
        assert types <= WIRE_TYPES[field.type] | references | ({"object"} if field.key == "plugins" else set()), where
        needed = field.key in SCHEMAS[agreement.creation].get("required", ())
        assert needed == bool(field.spec.get("required") or "Needed to create" in text), where
        assert (field.key in change) == field.mutable or field.option == "name", where
        assert field.secret or field.key in shown, f"{where}: what is written can be read"
        if "enum" in creation[field.key]:
            assert field.spec.get("choices") == creation[field.key]["enum"], where


def test_no_key_of_the_api_is_out_of_reach(agreement: Agreement) -> None:
    """Whatever a request can say, an option says."""
    keys = set(properties(agreement.creation)) | set(properties(agreement.change))
    assert keys == {f.key for f in own_fields(agreement.resource)} | agreement.beside


def test_documented_defaults_are_the_servers() -> None:
    from bbs_server.services.plans import DEFAULTS

    options = documented("bbs_plan")[1]
    told = {name: " ".join(option["description"]) for name, option in options.items()}
    for option in ("prune_days", "prune_weeks", "prune_months", "retry_limit", "timezone"):
        assert f"The server's default is {DEFAULTS[option]}." in told[option]


# What the list of clients holds beside the clients themselves, where it is asked for.
BELONGINGS = {"repositories", "plugin_configs", "plans"}
RETURNED = {
    "bbs_client": ("client", "ListedClient"),
    "bbs_repository": ("repository", "RepositoryShown"),
    "bbs_plan": ("plan", "PlanShown"),
    "bbs_job": ("job", "JobShown"),
}


@pytest.mark.parametrize("module", RETURNED)
def test_returned_keys(module: str) -> None:
    """RETURN names what the server tells: all of it, but for jobs, which have many details for machines."""
    key, schema = RETURNED[module]
    contains = set(documented(module)[2][key]["contains"])
    told = set(properties(schema)) - BELONGINGS
    assert contains <= told if module == "bbs_job" else contains == told
