# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``prune`` and ``compact``."""

from __future__ import annotations

from bbs_server.models import Job
from bbs_server.scheduling import states
from bbs_server.server_tasks import records
from bbs_server.server_tasks.work import Work, text
from bbs_server.services import jobs

_REMOVING = ("prune", "archive_delete")

_KEEP = {
    "prune_minutes": "--keep-minutely",
    "prune_hours": "--keep-hourly",
    "prune_days": "--keep-daily",
    "prune_weeks": "--keep-weekly",
    "prune_months": "--keep-monthly",
    "prune_years": "--keep-yearly",
}


def prune(work: Work) -> str:
    """Thin out the archives of the job's plan, or of each plan of the repository by its own rules."""
    plans = [work.job.plan] if work.job.plan else work.repository.plans
    retaining = [plan for plan in plans if jobs.retains(plan)]
    if not retaining:
        return "Everything is kept: nothing to prune."
    records.record_unknown(work)
    vanished = records.vanished(work)
    told = []
    for plan in retaining:
        keep = [f"{option}={getattr(plan, field)}" for field, option in _KEEP.items() if getattr(plan, field)]
        scope = f"--glob-archives=plan{plan.id}-*"
        told.append(work.borg("prune", "--list", scope, *keep).log)
    pruned = records.forget_gone(work) - len(vanished)
    told.append(f"{pruned} archives were pruned.")
    return text(*told, _free(work, vanished) if pruned or vanished else "")


def compact(work: Work) -> str:
    """Free the space of deleted archives."""
    asked_by_the_weekly_round = work.job.parent_job_id is not None
    vanished = records.vanished(work) if asked_by_the_weekly_round else []
    return text(_free(work, vanished, "--verbose"), "" if vanished else "Unused space was freed.")


def _free(work: Work, vanished: list[str], *options: str) -> str:
    """Free space, but not that of what somebody else has deleted: until then it can be brought back."""
    if not vanished:
        return work.borg("compact", *options).log
    work.warned = True
    if cut_off := _cut_off(work):
        return (
            f"Not compacted: {', '.join(vanished)} vanished. Job #{cut_off.id} ({cut_off.task_type}), which was "
            "cut off, may have removed them; the next run frees their space."
        )
    return (
        f"Not compacted: {', '.join(vanished)} vanished without a job of this server. If nobody meant to delete "
        "them, stop all backups to the repository; 'append-only mode' in borg's manual says how to get them back."
    )


def _cut_off(work: Work) -> Job | None:
    """The latest job that may have removed archives without saying so, if none after it has compared the records."""
    removing = work.repository.jobs.where(Job.task_type.in_(_REMOVING) & Job.started_at.is_null(False))
    before = removing.where(Job.id != work.job.id).order_by(Job.started_at.desc(), Job.id.desc())
    latest: Job | None = before.first()
    return latest if latest and latest.status in (states.FAILED, states.CANCELLED) else None
