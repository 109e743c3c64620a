# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job in work, and how its borg runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bbs_server.borg.command import BorgStopped, Outcome
from bbs_server.models import Job, Repository
from bbs_server.runtime import Runtime
from bbs_server.scheduling import states
from bbs_server.services import repository_access


@dataclass
class Work:
    """What the function of a task type is given.

    :param warned: whether a borg ended "with warnings".
    """

    run: Runtime
    job: Job
    repository: Repository
    warned: bool = field(default=False, init=False)

    def borg(
        self, command: str, *options: str, archive: str | None = None, then: Sequence[str] = (), accept: int = 1
    ) -> Outcome:
        """Run borg on the repository until it ends or the job is cancelled.

        :param archive: the archive it is about.
        :param then: what follows the repository on the command line.
        :param accept: highest exit code that is not a failure.
        :raises BorgError: it failed.
        :raises BorgStopped: the job was cancelled.
        """
        done = repository_access.borg(
            self.run, self.repository, command, *options, archive=archive, then=then, accept=accept, wanted=self.wanted
        )
        self.warned |= done.warnings
        return done

    def wanted(self) -> bool:
        """Whether nobody has cancelled the job meanwhile, or begun another attempt at it."""
        running = (Job.id == self.job.id) & (Job.attempt == self.job.attempt) & (Job.status == states.RUNNING)
        return bool(Job.select().where(running).exists())

    def go_on(self) -> None:
        """Between two steps.

        :raises BorgStopped: the job was cancelled.
        """
        if not self.wanted():
            raise BorgStopped


def text(*parts: str) -> str:
    """What a job's log says: the parts that say something, one below the other."""
    return "\n".join(part.strip() for part in parts if part.strip())
