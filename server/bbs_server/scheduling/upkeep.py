# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker does now and then without being asked (agent-protocol.md §12)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import peewee

from bbs_server.backup_plugins import shell_hook
from bbs_server.models import Job, Plan, PlanPlugin, PluginConfig, Repository, Setting
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import catalogues, plans, recovery, server_jobs, undo

_COMPACTIONS, _CATALOGUES, _RECOVERED = "compactions_queued", "catalogues_cleaned", "recovered"
_DAY, _EACH_HOUR = timedelta(days=1), timedelta(hours=1)
_SATURDAY, _HOUR = 5, 2


def queue_compactions(run: Runtime) -> int:
    """Queue, once a week, the compaction of local repositories from which archives were deleted.

    A prune frees its space itself. A Saturday that was missed is made up for by the next round.
    Returns how many were queued.
    """
    saturday = _latest_saturday(run.clock())
    if _last(_COMPACTIONS) >= saturday:
        return 0
    with run.writing():
        causes = _deletions_to_follow()
        for cause in causes:
            server_jobs.follow_up(run, cause, "compact")
        _note(_COMPACTIONS, saturday)
    return len(causes)


def queue_deferred_hooks(run: Runtime) -> int:
    """Queue the post scripts that were to wait until their repository has no more work (agent-protocol.md §9, §11).

    Returns how many were queued.
    """
    waiting = [(backup, hook) for backup in _backups_with_hooks(run) for hook in _deferred(backup.plan)]
    with run.writing():
        for backup, hook in waiting:
            Job.create(
                client=backup.client_id,
                plan=backup.plan_id,
                repository=backup.repository_id,
                plugin_config=hook,
                parent_job=backup,
                task_type="plugin_post",
                status=states.QUEUED,
                queued_at=run.clock(),
            )
    return len(waiting)


def remove_orphaned_catalogues(run: Runtime) -> int:
    """Once a day, remove the file catalogues that belong to no archive; returns how many files."""
    if run.clock() - _last(_CATALOGUES) < _DAY:
        return 0
    with run.writing():
        _note(_CATALOGUES, run.clock())
    return catalogues.remove_orphans(run)


def recover(run: Runtime) -> None:
    """Once an hour, and when it is wanted, put right what processes that were killed left half done."""
    due, request = run.clock() - _last(_RECOVERED) >= _EACH_HOUR, undo.request(run)
    if due or request.exists():
        request.unlink(missing_ok=True)
        recovery.recover(run)
        with run.writing():
            _note(_RECOVERED, run.clock())


def _last(name: str) -> datetime:
    noted: Setting | None = Setting.get_or_none(Setting.name == name)
    return datetime.fromisoformat(noted.value) if noted else datetime.min.replace(tzinfo=UTC)


def _note(name: str, moment: datetime) -> None:
    value = moment.isoformat()
    told = Setting.insert(name=name, value=value)
    told.on_conflict(conflict_target=[Setting.name], update={Setting.value: value}).execute()


def _backups_with_hooks(run: Runtime) -> list[Job]:
    """Backups of the last day whose repository is at rest, whose plan has a hook, and whose hooks have not run."""
    other, child = Job.alias(), Job.alias()
    busy = other.select(other.id).where((other.repository == Job.repository) & other.status.in_(states.ACTIVE))
    followed = child.select(child.id).where((child.parent_job == Job.id) & (child.task_type == "plugin_post"))
    hooks = (
        PlanPlugin.select(PlanPlugin.id)
        .join(PluginConfig)
        .where((PlanPlugin.plan == Job.plan) & (PluginConfig.plugin == shell_hook.PLUGIN.slug))
    )
    found = Job.select().where(
        (Job.task_type == "backup")
        & (Job.status == states.COMPLETED)
        & (Job.completed_at >= run.clock() - _DAY)
        & ~peewee.fn.EXISTS(busy)
        & ~peewee.fn.EXISTS(followed)
        & peewee.fn.EXISTS(hooks)
    )
    return list(found.order_by(Job.id))


def _deferred(plan: Plan | None) -> list[PluginConfig]:
    attached = plans.attached_configs(plan) if plan else []
    hooks = [config for config in attached if config.plugin == shell_hook.PLUGIN.slug]
    return [hook for hook in hooks if json.loads(hook.config).get("post_script_timing") == shell_hook.LATER]


def _latest_saturday(now: datetime) -> datetime:
    """The latest Saturday, 02:00 UTC, that is not in the future."""
    today = now.astimezone(UTC).replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    found = today - timedelta(days=(today.weekday() - _SATURDAY) % 7)
    return found if found <= now else found - timedelta(days=7)


def _deletions_to_follow() -> list[Job]:
    """The latest deletion in each local repository that no compaction has followed, and none is about to."""
    later = Job.alias()
    freed = later.select(later.id).where(
        (later.repository == Job.repository)
        & (
            ((later.task_type == "compact") & later.status.in_(states.ACTIVE))
            | (
                later.task_type.in_(("compact", "prune"))
                & (later.status == states.COMPLETED)
                & (later.started_at >= Job.completed_at)
            )
        )
    )
    deletions = (
        Job.select(Job)
        .join(Repository)
        .where(
            (Repository.storage_type == "local")
            & (Job.task_type == "archive_delete")
            & (Job.status == states.COMPLETED)
            & ~peewee.fn.EXISTS(freed)
        )
        .order_by(Job.id)
    )
    return list({job.repository_id: job for job in deletions}.values())
