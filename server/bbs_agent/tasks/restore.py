# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`restore`: extract paths of an archive (agent-protocol.md §7.2, §10)."""

import os
from typing import Any, Dict

from ..borg import BorgOutput, silent_end
from ..host import Host
from ..job import Job, TaskError
from .borg_run import borg_environment, run_borg
from .outcome import COMPLETED, FAILED, Result


def restore(job: Job, host: Host) -> Result:
    """Extract into `cwd`, which is made if need be, or without one to where the files came from."""
    target = str(job.task.get("cwd") or "/")
    try:
        os.makedirs(target, exist_ok=True)
    except OSError as error:
        raise TaskError("The restore directory {} cannot be made: {}".format(target, error)) from error

    def _progress(output: BorgOutput) -> None:
        job.count(files_processed=output.files, bytes_total=output.bytes_total, bytes_processed=output.bytes)

    output = BorgOutput([], _progress, written="the disk below {}".format(target))
    with borg_environment(job, host) as env:
        done = run_borg(job, host, env, output, cwd=target)
    report: Dict[str, Any] = {
        "job_id": job.id,
        "files_total": output.files,
        "files_processed": output.files,
        "bytes_total": output.bytes_total,
        "bytes_processed": output.bytes_total if done.code == 0 else output.bytes,
    }
    # A 2.26 server asks for no list, so there nothing can be counted.
    listed = "--list" in (job.task.get("command") or [])
    nothing_found = done.code == 0 and listed and output.files == 0
    report["result"] = FAILED if done.code != 0 or nothing_found else COMPLETED
    error_log = output.error_log(failed=done.code != 0) if done.code else ""
    if nothing_found:
        error_log = "Borg restored nothing: the archive holds none of these paths."
    elif done.code != 0 and not error_log:
        error_log = silent_end(done.code)
    if error_log:
        report["error_log"] = job.clean(error_log)
    return Result(report)
