# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`backup` and `backup_dry_run`: plugins, counting, borg, report (agent-protocol.md §7.1)."""

import json
from typing import Any, Dict, List, Optional

from ..borg import BorgOutput, archive_stats, silent_end
from ..catalog import Catalog
from ..counting import count_files
from ..host import Host
from ..job import Job
from ..plugins.session import PluginSession
from ..process import Finished
from .borg_run import borg_environment, roots_of, run_borg
from .outcome import COMPLETED, FAILED, Result, guarded

WARNING = 1


def backup(job: Job, host: Host) -> Result:
    """Make one archive. Post scripts and clean-up run after the report, whatever the result."""
    session = PluginSession(job, host)

    def _archive() -> Result:
        session.before()
        with borg_environment(job, host) as env:
            return Result(_create(job, host, session, env))

    report = guarded(job, _archive).report
    return Result(report, lambda: session.after(report["result"]))


def dry_run(job: Job, host: Host) -> Result:
    """Let borg list what a backup would hold; no plugins, no archive, counts in `task_result`."""
    output = BorgOutput(roots_of(job.task.get("directories")))
    with borg_environment(job, host) as env:
        done = run_borg(job, host, env, output)
    excluded = output.statuses.get("x", 0)
    files = sum(output.statuses.values()) - excluded
    report: Dict[str, Any] = {
        "job_id": job.id,
        "files_total": files,
        "files_processed": files,
        "task_result": json.dumps({"files": files, "excluded": excluded, "statuses": output.statuses}),
        "result": COMPLETED if done.code <= WARNING and files else FAILED,
    }
    if done.code == WARNING and output.has_warned():
        report["had_warnings"] = True
    error_log = output.error_log(report["result"] == FAILED)
    if not error_log and not files:
        error_log = "Borg found no file to back up."
    return Result(_with_error_log(job, report, error_log))


def _create(job: Job, host: Host, session: PluginSession, env: Dict[str, str]) -> Dict[str, Any]:
    roots = roots_of(job.task.get("directories"))
    expected = _expected_files(job, roots)
    job.say("Backing up {} files...".format(expected), files_total=expected, files_processed=0)
    catalog_command = host.ssh.remote("catalog-write {}".format(job.id)) if _hosted(host) else None
    with Catalog(catalog_command) as catalog:

        def _progress(output: BorgOutput) -> None:
            job.count(
                files_total=max(expected, output.files),
                files_processed=output.files,
                bytes_processed=output.bytes,
            )

        output = BorgOutput(roots, _progress, catalog.add)
        done = run_borg(job, host, env, output)
    return _report(job, session, output, done)


def _hosted(host: Host) -> bool:
    return host.ssh.access is not None and host.ssh.has_key


def _expected_files(job: Job, roots: List[str]) -> int:
    """The server's number, or (always with 2.26, which sends none) a count of our own."""
    expected = job.task.get("expected_files")
    if isinstance(expected, int) and expected > 0:
        return expected
    if not job.task.get("precount_files", True):
        return 0
    job.say("Counting files...")
    return count_files(roots, job.token.check)


def _report(job: Job, session: PluginSession, output: BorgOutput, done: Finished) -> Dict[str, Any]:
    """The final report (§5.4) for borg's exit code (§10.4)."""
    stats = archive_stats(done.output)
    # The archive is written; only the lock was gone when borg wanted to give it back.
    lost_lock = done.code > WARNING and stats is not None and "NotLocked" in "".join(output.errors.kept)
    completed = done.code in (0, WARNING) or lost_lock
    report: Dict[str, Any] = {"job_id": job.id}
    if completed:
        report.update(_archive_facts(job, output, stats))
        databases = session.databases()
        if databases:
            report["databases_backed_up"] = {"version": 2, "groups": databases}
        if lost_lock or session.problems or (done.code == WARNING and output.has_warned()):
            report["had_warnings"] = True
    error_log = "".join(line + "\n" for line in session.problems)
    if done.code != 0:
        error_log += output.error_log(failed=not completed)
    if not completed and not error_log:
        error_log = silent_end(done.code)
    report["result"] = COMPLETED if completed else FAILED
    return _with_error_log(job, report, error_log)


def _archive_facts(job: Job, output: BorgOutput, stats: Optional[Dict[str, int]]) -> Dict[str, Any]:
    if stats is None:
        stats = {"nfiles": output.files, "original_size": output.bytes, "deduplicated_size": 0}
    return {
        "files_total": stats["nfiles"],
        "files_processed": stats["nfiles"],
        "original_size": stats["original_size"],
        "deduplicated_size": stats["deduplicated_size"],
        "bytes_total": stats["original_size"],
        "bytes_processed": stats["original_size"],
        "archive_name": str(job.task.get("archive_name") or ""),
    }


def _with_error_log(job: Job, report: Dict[str, Any], error_log: str) -> Dict[str, Any]:
    if error_log:
        report["error_log"] = job.clean(error_log)[:10000]
    return report
