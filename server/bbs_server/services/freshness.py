# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether backups are recent enough: the signal of health, whatever a client was doing meanwhile.

A laptop that is switched off is no alarm. One whose plan has not succeeded for longer than the
plan allows (``maximum_age_hours``) is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import peewee

from bbs_server.db import naive
from bbs_server.db.statements import Statement, slot
from bbs_server.models import Plan
from bbs_server.runtime import Runtime
from bbs_server.services import ids

DEFAULT_HOURS = 48
"""Age that a backup may reach where a plan names none."""

_BETWEEN_RUNS = {"weekly": timedelta(days=7), "monthly": timedelta(days=31)}
"""Time between two backups that is granted on top of ``DEFAULT_HOURS``."""

COLUMNS = (
    Plan.client, Plan.enabled, Plan.paused, Plan.frequency, Plan.maximum_age_hours, Plan.created_at, Plan.last_success,
)  # fmt: skip
"""What :func:`is_stale` looks at."""


def _maybe_stale(own: Any, late: Any) -> Any:
    """Plans that a look at their columns does not prove fresh: few, in a fleet that is well."""
    heard = peewee.fn.COALESCE(Plan.last_success, Plan.created_at)
    doubtful = Plan.maximum_age_hours.is_null(False) | (heard < late)
    return Plan.select(*COLUMNS).where(doubtful & Plan.enabled & ~Plan.paused & own).namedtuples()


def _succeeded(own: Any) -> Any:
    return Plan.select(Plan.client).distinct().where(Plan.last_success.is_null(False) & own).tuples()


_BETWEEN = Plan.client.between(slot("first"), slot("last"))
_MAYBE_STALE = Statement(lambda: _maybe_stale(_BETWEEN, slot("late")))
_SUCCEEDED = Statement(lambda: _succeeded(_BETWEEN))


@dataclass(frozen=True)
class Freshness:
    """What plans say of their clients.

    :param stale: ids of clients with a plan that is stale.
    :param backed_up: ids of clients with a plan that has succeeded before.
    """

    stale: frozenset[int]
    backed_up: frozenset[int]


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


def of_clients(run: Runtime, clients: Sequence[int]) -> Freshness:
    """What the plans of these clients say, and maybe of some between them.

    :param clients: the ids of at least one.
    """
    late = run.clock() - timedelta(hours=DEFAULT_HOURS)
    between = ids.span(clients)
    if between:
        span = dict(zip(("first", "last"), between, strict=True))
        maybe_stale, succeeded = _MAYBE_STALE.rows(late=late, **span), _SUCCEEDED.raw(**span)
    else:
        own = Plan.client.in_(clients)
        maybe_stale, succeeded = list(_maybe_stale(own, naive(late))), list(_succeeded(own))
    return Freshness(
        stale=frozenset(plan.client for plan in maybe_stale if is_stale(run, plan)),
        backed_up=frozenset(row[0] for row in succeeded),
    )
