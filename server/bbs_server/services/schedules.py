# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When each plan runs, over all clients (admin-api.md §5.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import peewee
from peewee import fn

from bbs_server.auth import Principal
from bbs_server.clock import wire
from bbs_server.errors import Invalid
from bbs_server.models import Client, Job, Plan, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling.schedule import Schedule, ScheduleError
from bbs_server.services import clients, ids, names, plan_times, plans

MANUAL = "manual"


class Latest(NamedTuple):
    """How a plan's latest backup went."""

    status: str
    completed_at: datetime | None


def listed(
    run: Runtime, caller: Principal, limit: int | None = None, offset: int = 0
) -> Iterator[list[dict[str, Any]]]:
    """The schedules of all plans the caller may see, by client, then by plan; so many at a time."""
    rows: Any = _by_name(Plan.select(Plan.id).join(Client)).limit(limit).offset(offset).tuples()
    if not caller.is_admin:
        rows = rows.where(Client.owner == caller.user)
    return (_part(run, some) for some in ids.parts([number for (number,) in rows]))


def _by_name(rows: Any) -> Any:
    return rows.order_by(names.alphabetically(Client.name), names.alphabetically(Plan.name), Plan.id)


def _part(run: Runtime, numbers: Sequence[int]) -> list[dict[str, Any]]:
    rows = Plan.select(Plan, Client, Repository).join_from(Plan, Client).join_from(Plan, Repository)
    latest = latest_backups(ids.among(Job.plan, numbers))
    return [_summary(run, plan, latest.get(plan.id)) for plan in _by_name(rows.where(Plan.id.in_(numbers)))]


def preview(
    run: Runtime,
    *,
    frequency: str,
    times: str | None,
    day_of_week: str | None,
    day_of_month: str | None,
    timezone: str,
    count: int,
) -> dict[str, Any]:
    """The next runs of a schedule that no plan has yet.

    :raises Invalid: it could never run.
    """
    try:
        schedule = Schedule.parse(frequency, times, day_of_week, day_of_month, timezone)
    except ScheduleError as error:
        raise Invalid(str(error)) from error
    return plan_times.preview_schedule(run, schedule, count)


def latest_backups(own: peewee.Expression | None = None) -> dict[int, Latest]:
    """The latest backup of each plan.

    :param own: a condition for jobs; none: of all plans.
    """
    of_plans = (Job.task_type == "backup") & (Job.plan.is_null(False) if own is None else own)
    newest = Job.select(fn.MAX(Job.id)).where(of_plans).group_by(Job.plan)
    rows: Any = Job.select(Job.plan, Job.status, Job.completed_at).where(Job.id.in_(newest)).tuples()
    return {plan: Latest(status, completed_at) for plan, status, completed_at in rows}


def _summary(run: Runtime, plan: Plan, latest: Latest | None) -> dict[str, Any]:
    shown = plans.summary(run, plan, [])
    return {
        "plan_id": plan.id,
        "plan_name": plan.name,
        "plan_enabled": plan.enabled,
        "agent_id": plan.client_id,
        "agent_name": plan.client.name,
        "agent_status": clients.status(run, plan.client),
        "repository_id": plan.repository_id,
        "repository_name": plan.repository.name,
        **{name: shown[name] for name in ("frequency", "times", "day_of_week", "day_of_month", "timezone")},
        "schedule_enabled": not plan.paused and plan.frequency != MANUAL,
        "next_run": wire(plan.next_run),
        "last_run": wire(plan.last_run),
        "last_status": latest.status if latest else None,
        "last_completed_at": wire(latest.completed_at) if latest else None,
        **{name: shown[name] for name in ("last_success", "stale", "never_backed_up")},
    }
