# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From whatever a task handler returns or raises to the final report of its job."""

from typing import Any, Callable, Dict, NamedTuple

from ..cancel import AGENT_STOPPED, Cancelled
from ..job import Job, TaskError
from ..logs import LOG
from ..ssh import SshProblem

COMPLETED = "completed"
FAILED = "failed"
ABANDONED = "abandoned"


def nothing() -> None:
    """The follow-up of a task that needs none."""


class Result(NamedTuple):
    """The final report, and what is left to do once the server has heard it (§11, step 4).

    With `restarts`, another agent has taken this one's place and delivers the report once it works.
    """

    report: Dict[str, Any]
    after: Callable[[], None] = nothing
    restarts: bool = False


def guarded(job: Job, action: Callable[[], Result]) -> Result:
    """Run `action`; an exception becomes a failed report, one sentence of which says why.

    A job that ends because its agent does, such as at a shutdown, is abandoned: the server may try it again.
    """
    try:
        result = action()
    except Cancelled as reason:
        return Result(dict(failure(job, str(reason)), result=ABANDONED if str(reason) == AGENT_STOPPED else FAILED))
    except (TaskError, SshProblem, OSError) as error:
        return Result(failure(job, str(error)))
    except Exception as error:
        LOG.exception("Job %s: unexpected error", job.id)
        return Result(failure(job, "Unexpected error in the agent: {!r}".format(error)))
    return result


def failure(job: Job, reason: str) -> Dict[str, Any]:
    """A failed report with nothing but its reason."""
    return {"job_id": job.id, "result": FAILED, "error_log": job.clean(reason)}
