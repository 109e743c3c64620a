# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what is backed up, where to, when, and how long it is kept (admin-api.md §5.4)."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping

from ansible_collections.borgfleet.bbs.plugins.module_utils import _schedule
from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import Converger
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import (
    ApiError,
    InvalidOption,
    RouteMissing,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import (
    UNREADABLE,
    Field,
    Ref,
    lines,
    lines_from_wire,
    lines_to_wire,
    not_empty,
    same_text_or_none,
    slug,
    stripped,
    text_or_empty,
)
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object, chosen, missing, reference
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module

SCHEDULE = ("frequency", "times", "day_of_week", "day_of_month", "timezone")
PERIODS = ("minutes", "hours", "days", "weeks", "months", "years")
REQUIRED_TO_CREATE = ("repository", "directories")
# What upstream tells of a schedule elsewhere, by the names it uses there and in plans of the bundled server.
_ELSEWHERE = ("timezone", "next_run", "last_run")


def _repository(plan: Mapping[str, Any]) -> Any:
    if "repository_id" not in plan:
        return UNREADABLE
    return Ref(plan["repository_id"], plan.get("repository_name") or str(plan["repository_id"]))


def _attached(plan: Mapping[str, Any]) -> Any:
    if "plugins" not in plan:
        return UNREADABLE
    return [Ref(item["plugin_config_id"], item.get("name", "")) for item in plan["plugins"]]


def _attachments(configs: list[Ref]) -> list[dict[str, int | None]]:
    """The one form that is checked on the server (admin-api.md §5.4, ``plugins`` formats)."""
    return [{"plugin_config_id": config.id} for config in configs]


def absolute_paths(values: Iterable[Any]) -> list[str]:
    """Directories of any system: no agent runs where a relative one would mean something."""
    entries = lines(values)
    for entry in entries:
        if not re.match(r"[/\\]|[A-Za-z]:", entry):
            raise ValueError(f"{entry!r} is not an absolute path such as '/etc'")
    return entries


def _tells_schedule(plan: Mapping[str, Any]) -> bool:
    """The bundled server's plans hold everything, and it is the one that clears what is sent as null."""
    return "next_run" in plan and "plugins" in plan


PLAN = Resource(
    name="plan",
    collection="/clients/{client_id}/plans",
    items="plans",
    together=SCHEDULE,
    honours_null=_tells_schedule,
    fields=(
        Field("name", normalise=stripped, spec={"required": True}),
        Field("repository", wire="repository_id", read=_repository, to_wire=lambda ref: ref.id),
        Field(
            "directories",
            type="list",
            normalise=not_empty(absolute_paths),
            from_wire=lines_from_wire,
            to_wire=lines_to_wire,
            spec={"elements": "str"},
        ),
        Field(
            "excludes",
            type="list",
            normalise=lines,
            from_wire=lines_from_wire,
            to_wire=lines_to_wire,
            clearable=True,
            empty=[],
            spec={"elements": "str"},
        ),
        Field(
            "advanced_options",
            normalise=same_text_or_none,
            from_wire=same_text_or_none,
            to_wire=text_or_empty,
            clearable=True,
        ),
        Field("frequency", spec={"choices": _schedule.FREQUENCIES}),
        Field(
            "times",
            type="list",
            normalise=not_empty(_schedule.times),
            from_wire=_schedule.times_from_wire,
            to_wire=_schedule.joined,
            spec={"elements": "str"},
        ),
        Field(
            "day_of_week",
            type="list",
            normalise=_schedule.days_of_week,
            from_wire=_schedule.days_of_week_from_wire,
            to_wire=_schedule.days_of_week_to_wire,
            clearable=True,
            empty=[],
            spec={"elements": "str"},
        ),
        Field(
            "day_of_month",
            type="list",
            normalise=_schedule.days_of_month,
            from_wire=_schedule.days_of_month_from_wire,
            to_wire=_schedule.joined,
            clearable=True,
            empty=[],
            spec={"elements": "str"},
        ),
        Field("timezone", normalise=stripped),
        Field("splay_minutes", type="int", clearable=True),
        Field("maximum_age_hours", type="int", clearable=True),
        Field("retry_limit", type="int"),
        *(Field(f"prune_{period}", type="int") for period in PERIODS),
        Field(
            "plugin_configs",
            type="list",
            wire="plugins",
            read=_attached,
            to_wire=_attachments,
            clearable=True,
            empty=[],
            spec={"elements": "str"},
        ),
        Field("enabled", type="bool", from_wire=bool, argument=False),
        Field("paused", type="bool", from_wire=bool, argument=False, sent=False),
    ),
)


class Plans(Converger):
    resource = PLAN
    reads = ("repositories", "plugin_configs", "plans")

    def find(self, name: str) -> Object | None:
        plan = super().find(name)
        return plan if plan is None else self.with_schedule(plan)

    def with_schedule(self, plan: Object) -> Object:
        """Add what an upstream server tells in its list of schedules only, or, being old, not at all."""
        if _tells_schedule(plan):
            return plan
        try:
            schedules = self.api.get_list("/schedules", "schedules")
        except RouteMissing:
            return plan
        for row in schedules:
            if row["plan_id"] == plan["id"]:
                known = {key: row[key] for key in _ELSEWHERE if key in row}
                return {**plan, **known, **_pause_state(row)}
        return plan

    def desired(self, current: Object | None) -> dict[str, Any]:
        wanted = super().desired(current)
        if wanted.get("repository") is not None:
            wanted["repository"] = self.repository(wanted["repository"])
        if wanted.get("plugin_configs") is not None:
            wanted["plugin_configs"] = self.plugin_configs(wanted["plugin_configs"])
        absent = [option for option in REQUIRED_TO_CREATE if not wanted.get(option)]
        if current is None and absent:
            raise InvalidOption(f"The plan {self.name} does not exist yet; to create it, give {' and '.join(absent)}.")
        if current is None or set(wanted) & set(SCHEDULE):
            check_schedule({**(current or {}), **wanted})
        unknown = current is not None and "paused" not in current
        if self.pause or not unknown or self.task.params["update_unreadable"]:
            wanted["paused"] = self.pause
        if current is not None and not self.pause:
            # A new plan is enabled; one that was switched off elsewhere would not follow its schedule.
            wanted["enabled"] = True
        return wanted

    @property
    def pause(self) -> bool:
        return bool(self.task.params["state"] == "paused")

    def repository(self, name: str) -> Ref:
        if self.client_id is None:
            return Ref(None, name)
        path = f"/clients/{self.client_id}/repositories"
        found = reference(self.api, path, "repositories", "repository", name, slug)
        return found or missing(self.task, "repository", name, "bbs_repository")

    def plugin_configs(self, names: list[str]) -> list[Ref]:
        if self.client_id is None:
            return [Ref(None, name) for name in names]
        path = f"/clients/{self.client_id}/plugin-configs"
        listed = self.api.get_list(path, "plugin_configs") if names else []
        return [self.plugin_config(listed, name.strip()) for name in names]

    def plugin_config(self, listed: list[Mapping[str, Any]], name: str) -> Ref:
        """By name; where two plugins use the same name, by ``plugin/name``."""
        plugin, slash, rest = name.partition("/")
        of_plugin = [item for item in listed if slash and item["slug"] == plugin and item["name"] == rest]
        found = chosen(of_plugin, "plugin config", rest, str.strip) if of_plugin else None
        found = found or chosen(listed, "plugin config", name, str.strip)
        return found or missing(self.task, "plugin config", name, "bbs_plugin_config")

    def create(self, outcome: Outcome) -> Object:
        """Create and, where creation leaves the schedule without a next run, arm it (admin-api.md §10, 1)."""
        plan = self.read(self.post(outcome.payload))
        if plan.get("next_run") is None and plan.get("frequency") != "manual":
            self.api.put(self.path(plan), schedule_of({**plan, **outcome.payload}))
            plan = self.read(plan)
        return self.set_pause(plan)

    def post(self, body: dict[str, Any]) -> Object:
        try:
            return super().post(body)
        except ApiError as error:
            # Upstream takes the short intervals in a PUT only; the one that arms the plan sets it.
            if error.status != 400 or body.get("frequency") not in _schedule.SHORT_INTERVALS:
                raise
            return super().post({**body, "frequency": "hourly"})

    def update(self, outcome: Outcome, current: Object) -> Object:
        super().update(outcome, current)
        plan = self.read({**current, "name": outcome.payload.get("name", current["name"])})
        return self.set_pause(plan, assumed="paused" in outcome.changes and not self.pause)

    def set_pause(self, plan: Object, assumed: bool = False) -> Object:
        """Pause or resume, also where a written frequency has just resumed the plan (admin-api.md §10, 2).

        :param assumed: whether it is paused, where the server does not tell
        """
        if plan.get("paused", assumed) == self.pause:
            return plan
        self.api.post(f"{self.path(plan)}/{'pause' if self.pause else 'resume'}", {})
        return {**self.read(plan), "paused": self.pause}

    def read(self, plan: Object) -> Object:
        """The plan after a write: the server has computed its next run."""
        return self.find(plan["name"]) or plan


def check_schedule(plan: Mapping[str, Any]) -> None:
    """Refuse a schedule that would silently run on some default day (agent-protocol.md §8.1).

    :raises InvalidOption: naming the option that is missing
    """
    frequency = plan.get("frequency")
    for needs, option in (("weekly", "day_of_week"), ("monthly", "day_of_month")):
        if frequency == needs and plan.get(option) in (None, [], ""):
            raise InvalidOption(f"A {needs} plan needs {option}.")


def schedule_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a plan that says when it runs, as one request has to carry it (admin-api.md §11)."""
    keys = [f.key for f in PLAN.fields if f.option in SCHEDULE]
    return {key: plan[key] for key in keys if plan.get(key) is not None}


def _pause_state(row: Mapping[str, Any]) -> dict[str, bool]:
    """Upstream has no pause as such, only a schedule that is off; that of a manual plan always is."""
    if row.get("frequency") == "manual" or row.get("schedule_enabled") is None:
        return {}
    return {"paused": not row["schedule_enabled"]}


MODULE = Module(
    name="bbs_plan",
    options={
        "client": {"type": "str", "required": True},
        **PLAN.argument_spec(),
        "new_name": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "paused", "absent"], "default": "present"},
        "update_unreadable": {"type": "bool", "default": False},
    },
    perform=Plans.perform,
)
