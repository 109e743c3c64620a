# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks a server can send, by the name in the task's `task` key (agent-protocol.md §7)."""

from typing import Callable, Dict

from ..host import Host
from ..job import Job, TaskError
from .backup import backup, dry_run
from .listing import list_dir
from .outcome import Result, guarded
from .plugin_tasks import plugin_post, plugin_test
from .restore import restore
from .restore_databases import restore_databases
from .update_agent import update_agent
from .update_borg import update_borg

Handler = Callable[[Job, Host], Result]

HANDLERS: Dict[str, Handler] = {
    "backup": backup,
    "backup_dry_run": dry_run,
    "restore": restore,
    "restore_mysql": restore_databases,
    "restore_pg": restore_databases,
    "restore_mongo": restore_databases,
    "plugin_test": plugin_test,
    "plugin_post": plugin_post,
    "list_dir": list_dir,
    "update_agent": update_agent,
    "update_borg": update_borg,
}


def run_task(job: Job, host: Host) -> Result:
    """Run one task to its end; never raises, every failure is in the report."""

    def _run() -> Result:
        job.say("Starting task...")
        handler = HANDLERS.get(job.kind)
        if handler is None:
            raise TaskError("This agent does not know tasks of the type {!r}.".format(job.kind))
        return handler(job, host)

    return guarded(job, _run)
