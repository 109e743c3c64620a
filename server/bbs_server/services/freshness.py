# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether backups are recent enough: the signal of health, whatever a client was doing meanwhile.

A laptop that is switched off is no alarm. One whose plan has not succeeded for longer than the
plan allows (``maximum_age_hours``) is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bbs_server.models import Plan
from bbs_server.runtime import Runtime
from bbs_server.statements import Statement, slot

DEFAULT_HOURS = 48
"""Age that a backup may reach where a plan names none."""

_BETWEEN_RUNS = {"weekly": timedelta(days=7), "monthly": timedelta(days=31)}
"""Time between two backups that is granted on top of ``DEFAULT_HOURS``."""

_COLUMNS = (
    Plan.client, Plan.enabled, Plan.paused, Plan.frequency, Plan.maximum_age_hours, Plan.created_at, Plan.last_success,
)  # fmt: skip
_OF_ONE = Statement(lambda: Plan.select(*_COLUMNS).where(Plan.client == slot("client")).namedtuples())


@dataclass
class ClientFreshness:
    """What the plans of one client say together.

    :param stale: at least one of them is stale.
    :param never_backed_up: none of them has ever succeeded.
    """

    stale: bool = False
    never_backed_up: bool = True


def is_stale(run: Runtime, plan: Plan) -> bool:
    """Whether a plan that should run has not succeeded for longer than it may.

    A plan that has never succeeded counts from its creation. Plans that are paused, disabled, or
    manual without a ``maximum_age_hours`` of their own are never stale.
    """
    watched = plan.enabled and not plan.paused and (plan.frequency != "manual" or plan.maximum_age_hours is not None)
    since: datetime = plan.last_success or plan.created_at
    return watched and run.clock() - since > allowed_age(plan)


def allowed_age(plan: Plan) -> timedelta:
    """The age that a plan's latest good backup may reach."""
    if plan.maximum_age_hours is not None:
        return timedelta(hours=plan.maximum_age_hours)
    return timedelta(hours=DEFAULT_HOURS) + _BETWEEN_RUNS.get(plan.frequency, timedelta())


def shown(run: Runtime, plan: Plan) -> dict[str, bool]:
    """The two signals of a plan, as the API shows them."""
    return {"stale": is_stale(run, plan), "never_backed_up": plan.last_success is None}


def of_clients(run: Runtime) -> dict[int, ClientFreshness]:
    """What the plans of each client say; clients without plans are not in it."""
    return _together(run, Plan.select(*_COLUMNS).namedtuples())


def of_client(run: Runtime, client_id: int) -> ClientFreshness | None:
    """What the plans of one client say; None when it has none."""
    return _together(run, _OF_ONE.rows(client=client_id)).get(client_id)


def _together(run: Runtime, rows: Iterable[Any]) -> dict[int, ClientFreshness]:
    found: dict[int, ClientFreshness] = {}
    for plan in rows:
        client = found.setdefault(plan.client, ClientFreshness())
        client.stale = client.stale or is_stale(run, plan)
        client.never_backed_up = client.never_backed_up and plan.last_success is None
    return found
