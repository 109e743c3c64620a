# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows when a backup has succeeded (agent-protocol.md §9)."""

from __future__ import annotations

from datetime import datetime

from bbs_server.models import Job, Plan, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import jobs, s3_links, server_jobs


def after_backup(run: Runtime, job: Job, at: datetime) -> None:
    """Note a plan's success, and queue what follows from it: pruning, and the copy in S3."""
    Plan.update(last_success=at).where(Plan.id == job.plan_id).execute()
    Repository.update(size_is_stale=True).where(Repository.id == job.repository_id).execute()
    if jobs.retains(job.plan):
        server_jobs.follow_up(run, job, "prune")
    s3_links.queue_copy(run, job)
