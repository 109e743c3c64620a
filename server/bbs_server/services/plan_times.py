# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a plan runs: its calendar, spread over its clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from bbs_server.clock import wire
from bbs_server.models import Plan
from bbs_server.runtime import Runtime
from bbs_server.scheduling.schedule import Schedule, runs, splay


@dataclass(frozen=True)
class Slot:
    """One run of a plan.

    :param due: the time that the schedule names; a plan runs once for each.
    :param start: when it starts, which is later by the plan's splay.
    """

    due: datetime
    start: datetime


def schedule_of(plan: Plan) -> Schedule:
    """The plan's schedule, checked.

    :raises ScheduleError: it is none.
    """
    return Schedule.parse(plan.frequency, plan.times, plan.day_of_week, plan.day_of_month, plan.timezone)


def splay_minutes(run: Runtime, plan: Plan) -> int:
    """The minutes over which the plan's runs are spread: its own, else the server's."""
    return run.settings.splay_minutes if plan.splay_minutes is None else plan.splay_minutes


def upcoming(run: Runtime, plan: Plan, after: datetime) -> Slot | None:
    """The first start after a moment of a plan that is neither paused nor disabled."""
    return None if plan.paused or not plan.enabled else next(_slots(run, plan, after), None)


def arm(run: Runtime, plan: Plan) -> None:
    """Set when a plan runs next, from now on."""
    slot = upcoming(run, plan, run.clock())
    plan.next_due, plan.next_run = (slot.due, slot.start) if slot else (None, None)


def preview(run: Runtime, plan: Plan, count: int) -> dict[str, Any]:
    """The next runs of a plan; of one that is paused or disabled, those it would make.

    :param count: how many.
    """
    schedule = schedule_of(plan)
    slots = list(islice(_slots(run, plan, run.clock()), count))
    if plan.next_run is not None and plan.next_due is not None and plan.next_run <= run.clock():
        # Its time has come, and the worker has not been at it yet.
        slots = [Slot(plan.next_due, plan.next_run), *slots][:count]
    return {
        "plan_id": plan.id,
        "plan_name": plan.name,
        "enabled": plan.enabled,
        "paused": plan.paused,
        "timezone": plan.timezone,
        "splay_minutes": splay_minutes(run, plan),
        "runs": [shown(slot, schedule) for slot in slots],
    }


def preview_schedule(run: Runtime, schedule: Schedule, count: int) -> dict[str, Any]:
    """The next runs of a schedule that no plan has yet, without any splay."""
    due = islice(runs(schedule, run.clock()), count)
    return {"timezone": schedule.zone.key, "runs": [shown(Slot(moment, moment), schedule) for moment in due]}


def shown(slot: Slot, schedule: Schedule) -> dict[str, Any]:
    """A run for a person: in UTC, and on the wall clock of the plan's time zone."""
    local = slot.start.astimezone(schedule.zone).isoformat()
    return {"due_at": wire(slot.due), "start_at": wire(slot.start), "local": local}


def _slots(run: Runtime, plan: Plan, after: datetime) -> Iterator[Slot]:
    delay = _delay(run, plan)
    return (Slot(due, due + delay) for due in runs(schedule_of(plan), after - delay))


def _delay(run: Runtime, plan: Plan) -> timedelta:
    # The id, not the name: a client that is renamed keeps its place.
    return splay(f"client {plan.client_id}", splay_minutes(run, plan))
