# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans: what is backed up, when, and how long it is kept (admin-api.md §5.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import peewee

from bbs_server.borg import values as borg_values
from bbs_server.borg.options import OptionError, split_options
from bbs_server.clock import wire
from bbs_server.db.statements import Statement, slot
from bbs_server.errors import Conflict, Invalid, NotFound
from bbs_server.models import Client, Plan, PlanPlugin, PluginConfig, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling.schedule import DEFAULT_TIMES, LAST_DAY, Schedule, ScheduleError
from bbs_server.services import audit, freshness, ids, names, plan_times

RETENTION = ("prune_minutes", "prune_hours", "prune_days", "prune_weeks", "prune_months", "prune_years")
SCHEDULE = ("frequency", "times", "day_of_week", "day_of_month", "timezone")
CLEARABLE = ("excludes", "advanced_options", "day_of_week", "day_of_month", "splay_minutes", "maximum_age_hours")

DEFAULTS: dict[str, Any] = {
    "advanced_options": "--compression lz4 --exclude-caches --noatime",
    "frequency": "daily",
    "times": DEFAULT_TIMES,
    "timezone": "UTC",
    "prune_minutes": 0,
    "prune_hours": 0,
    "prune_days": 7,
    "prune_weeks": 4,
    "prune_months": 6,
    "prune_years": 0,
    "retry_limit": 3,
    "enabled": True,
    "paused": False,
}
"""What a plan has when nothing else is said (admin-api.md §5.4)."""


def find(client: Client, plan_id: int) -> Plan:
    """One plan of a client.

    :raises NotFound: unknown, or another client's.
    """
    found: Plan | None = _ONE.first(client=client.id, id=plan_id)
    if found is None:
        raise NotFound("Plan not found.")
    return found


def listed(run: Runtime, client: Client, name: str | None = None) -> list[dict[str, Any]]:
    """A client's plans by name; with ``name`` at most that one."""
    attached: dict[int, list[dict[str, Any]]] = {}
    for link in _LISTED_LINKS.rows(client=client.id):
        attached.setdefault(link.plan_id, []).append(_attached(link))
    plans: list[Plan] = _LISTED.rows(client=client.id)
    return [summary(run, plan, attached.get(plan.id, [])) for plan in plans if name in (None, plan.name)]


def of_clients(run: Runtime, clients: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What :func:`listed` tells of each of these clients, and maybe of some between them."""
    own = ids.among(Plan.client, clients)
    attached: dict[int, list[dict[str, Any]]] = {}
    for link in _links().join(Plan, on=PlanPlugin.plan).where(own):
        attached.setdefault(link.plan_id, []).append(_attached(link))
    found: dict[int, list[dict[str, Any]]] = {}
    for plan in _with_repository().where(own).order_by(names.alphabetically(Plan.name), Plan.id):
        found.setdefault(plan.client_id, []).append(summary(run, plan, attached.get(plan.id, [])))
    return found


def shown(run: Runtime, plan: Plan) -> dict[str, Any]:
    """One plan as it stands in lists."""
    return summary(run, plan, [_attached(link) for link in _links().where(PlanPlugin.plan == plan)])


def summary(run: Runtime, plan: Plan, plugins: list[dict[str, Any]]) -> dict[str, Any]:
    """Upstream's fields, those upstream cannot read back (zone, pause state, next run, plugins), and ours."""
    return {
        "id": plan.id,
        "name": plan.name,
        "directories": plan.directories,
        "excludes": plan.excludes,
        "advanced_options": plan.advanced_options,
        "enabled": plan.enabled,
        "repository_id": plan.repository_id,
        "repository_name": plan.repository.name,
        **{field: getattr(plan, field) for field in RETENTION},
        "frequency": plan.frequency,
        "times": plan.times,
        "day_of_week": _weekday_on_the_wire(plan.day_of_week),
        "day_of_month": plan.day_of_month,
        "timezone": plan.timezone,
        "splay_minutes": plan.splay_minutes,
        "maximum_age_hours": plan.maximum_age_hours,
        "retry_limit": plan.retry_limit,
        "paused": plan.paused,
        "next_run": wire(plan.next_run),
        "last_run": wire(plan.last_run),
        "last_success": wire(plan.last_success),
        **freshness.shown(run, plan),
        "plugins": plugins,
    }


def create(run: Runtime, client: Client, values: Mapping[str, Any]) -> Plan:
    """Create a plan and arm its schedule.

    :param values: fields as the API names them; null means the default.
    :raises Conflict: the client has a plan of that name.
    """
    given = {field: value for field, value in values.items() if value is not None and field != "plugins"}
    plugins = values.get("plugins")
    with run.writing():
        plan = Plan(client=client, created_at=run.clock())
        _assign(plan, client, {**DEFAULTS, **given})
        plan_times.arm(run, plan)
        _save(plan)
        if plugins is not None:
            _attach(client, plan, plugins)
        audit.record(run, "plan.create", f'Plan "{plan.name}" created.', client=client)
    return plan


def update(run: Runtime, client: Client, plan: Plan, values: Mapping[str, Any]) -> None:
    """Change the fields that are named; null clears where a field can be empty.

    A pause is kept, and any change of the schedule computes the next run anew.

    :raises Invalid: null for a field that cannot be empty, or a value that is wrong.
    """
    for field, value in values.items():
        if value is None and field not in CLEARABLE:
            raise Invalid(f"{field}: must not be null; leave it out to keep what it is.")
    fields = {field: value for field, value in values.items() if field != "plugins"}
    with run.writing():
        # Read again under the write lock: the worker may have moved the next run meanwhile.
        plan = find(client, plan.id)
        rearmed = any(field in fields for field in (*SCHEDULE, "splay_minutes", "enabled", "paused"))
        _assign(plan, client, fields)
        if rearmed:
            plan_times.arm(run, plan)
        _save(plan)
        if "plugins" in values:
            _attach(client, plan, values["plugins"])
        audit.record(run, "plan.update", f'Plan "{plan.name}" updated.', client=client)


def delete(run: Runtime, plan: Plan) -> None:
    """Remove a plan. Its archives stay; jobs already queued lose it."""
    with run.writing():
        plan.delete_instance()
        audit.record(run, "plan.delete", f'Plan "{plan.name}" deleted.', client=plan.client)


def pause(run: Runtime, plan: Plan, *, paused: bool) -> None:
    """Stop or continue the schedule; what was missed in between is not made up for."""
    with run.writing():
        plan = find(plan.client, plan.id)
        plan.paused = paused
        plan_times.arm(run, plan)
        plan.save(only=[Plan.paused, Plan.next_due, Plan.next_run])
        verb = "paused" if paused else "resumed"
        audit.record(run, f"plan.{verb}", f'Plan "{plan.name}" {verb}.', client=plan.client)


def lines(text: str | None) -> list[str]:
    """The entries of a field that holds one per line."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def attached_configs(plan: Plan) -> list[PluginConfig]:
    """The plan's plugin configurations in order of execution."""
    return [link.plugin_config for link in _links().where(PlanPlugin.plan == plan)]


def _with_repository() -> peewee.ModelSelect[Plan]:
    return Plan.select(Plan, Repository).join(Repository)


def _links() -> peewee.ModelSelect[PlanPlugin]:
    return (
        PlanPlugin.select(PlanPlugin, PluginConfig).join(PluginConfig).switch(PlanPlugin).order_by(PlanPlugin.position)
    )


_ONE = Statement(lambda: _with_repository().where((Plan.client == slot("client")) & (Plan.id == slot("id"))))
_LISTED = Statement(
    lambda: _with_repository().where(Plan.client == slot("client")).order_by(names.alphabetically(Plan.name), Plan.id)
)
_LISTED_LINKS = Statement(lambda: _links().join(Plan, on=PlanPlugin.plan).where(Plan.client == slot("client")))


def _attached(link: PlanPlugin) -> dict[str, Any]:
    config = link.plugin_config
    return {"plugin_config_id": config.id, "slug": config.plugin, "name": config.name}


def _assign(plan: Plan, client: Client, values: Mapping[str, Any]) -> None:
    for field, value in values.items():
        setattr(plan, field, value)
    if "name" in values:
        plan.name = names.checked(values["name"])
    if "repository_id" in values:
        plan.repository = _own_repository(client, values["repository_id"])
    if "directories" in values:
        plan.directories = _paths(values["directories"])
    if "excludes" in values:
        plan.excludes = _excludes(values["excludes"])
    if "advanced_options" in values:
        plan.advanced_options = _options(values["advanced_options"])
    _normalise_schedule(plan)


def _own_repository(client: Client, repository_id: int) -> Repository:
    found: Repository | None = client.repositories.where(Repository.id == repository_id).first()
    if found is None:
        raise NotFound("repository_id: the repository does not exist or does not belong to this client.")
    return found


def _paths(text: str) -> str:
    paths = _entries("directories", text)
    if not paths:
        raise Invalid("directories: is required: one path per line.")
    return "\n".join(paths)


def _excludes(text: str | None) -> str | None:
    patterns = _entries("excludes", text)
    for pattern in patterns:
        if problem := borg_values.pattern(pattern):
            raise Invalid(f"excludes: {pattern[:40]!r} {problem}.")
    return "\n".join(patterns) or None


def _entries(field: str, text: str | None) -> list[str]:
    found = lines(text)
    # A leading dash would reach borg as an option.
    if any(entry.startswith("-") or "\x00" in entry for entry in found):
        raise Invalid(f"{field}: an entry must not begin with a dash or hold a null character.")
    return found


def _options(text: str | None) -> str | None:
    try:
        split_options(text or "")
    except OptionError as error:
        raise Invalid(f"advanced_options: {error}") from error
    return text.strip() if text is not None else None


def _normalise_schedule(plan: Plan) -> None:
    try:
        schedule = plan_times.schedule_of(plan)
    except ScheduleError as error:
        raise Invalid(str(error)) from error
    plan.times = ",".join(at.strftime("%H:%M") for at in schedule.times)
    plan.day_of_week = ",".join(str(day) for day in sorted(schedule.weekdays)) or None
    plan.day_of_month = _month_days(plan.day_of_month, schedule)


def _month_days(text: str | None, schedule: Schedule) -> str | None:
    # "last" and 31 mean the same; the word is kept where it was used.
    last = "last" if "last" in (text or "").lower() else str(LAST_DAY)
    return ",".join(last if day == LAST_DAY else str(day) for day in sorted(schedule.month_days)) or None


def _weekday_on_the_wire(text: str | None) -> int | str | None:
    return int(text) if text and text.isdigit() else text


def _save(plan: Plan) -> None:
    try:
        plan.save()
    except peewee.IntegrityError as error:
        raise Conflict(f'The client already has a plan named "{plan.name}".', reason="name_taken") from error


def _attach(client: Client, plan: Plan, config_ids: list[int]) -> None:
    own = {row.id for row in client.plugin_configs.select(PluginConfig.id)}
    for config_id in config_ids:
        if config_id not in own:
            raise Invalid(f"plugins: the client has no plugin config {config_id}.")
    if len(set(config_ids)) != len(config_ids):
        raise Invalid("plugins: each plugin config can be attached once.")
    PlanPlugin.delete().where(PlanPlugin.plan == plan).execute()
    for position, config_id in enumerate(config_ids):
        PlanPlugin.create(plan=plan, plugin_config=config_id, position=position)
