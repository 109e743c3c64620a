# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running the borg command of a task, whoever hosts the repository."""

from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional

from ..borg import BorgOutput, command_of, described, repository_of
from ..host import Host
from ..job import Job
from ..logs import LOG
from ..process import Finished
from ..seen import Seen
from ..ssh import SshProblem
from ..stale_locks import free_caches

# What borg says when ssh is gone; the second one also of files that it was reading at that moment.
CONNECTION_LOST = ("Connection closed by remote host", "Broken pipe")
# What Python says of it in borg's name, which tells a person nothing more.
NOISE = ("Local Exception", "BrokenPipeError:")
LOST_SENTENCE = "The connection to the repository was lost."
BACK_SENTENCE = "ssh to the server works now: the line was cut for a moment, or the server's sshd ended."


@contextmanager
def borg_environment(job: Job, host: Host) -> Iterator[Dict[str, str]]:
    """Borg's environment for this task; with `remote_ssh_key` (§6.4) the key lives as long."""
    env = host.borg_environment(job.task.get("env"))
    key = job.task.get("remote_ssh_key")
    if not key:
        yield env
        return
    task_env = job.task.get("env") or {}
    with host.ssh.remote_repository(str(key), str(task_env.get("BORG_RSH") or "")) as rsh:
        env["BORG_RSH"] = rsh
        yield env


def run_borg(job: Job, host: Host, env: Dict[str, str], output: BorgOutput, cwd: Optional[str] = None) -> Finished:
    """Run the task's command and feed `output`. Raises Cancelled, TaskError, OSError."""
    command = command_of(job.task)
    LOG.info("Job %s: %s", job.id, described(command))
    if not job.task.get("remote_ssh_key"):
        # Without the key of a third host nobody can look at it later.
        Seen(host.layout.seen).note(repository_of(job.task))
    free_caches(env)
    done = job.runner().pipe(command, env, output.feed, cwd=cwd)
    if done.code > 1 and any(words in "".join(output.errors.kept) for words in CONNECTION_LOST):
        said = [line for line in output.errors.kept if not line.startswith(NOISE)]
        output.errors.kept = _explained_loss(job, host) + said
    return done


def _explained_loss(job: Job, host: Host) -> List[str]:
    """Borg often misses what ssh said before it ended; ask ssh once more, it says what is wrong."""
    if job.task.get("remote_ssh_key"):
        return [LOST_SENTENCE]
    try:
        host.ssh.ping()
    except SshProblem as problem:
        return [LOST_SENTENCE, str(problem)]
    return [LOST_SENTENCE, BACK_SENTENCE]


def roots_of(text: Optional[str]) -> List[str]:
    """The directories of a task: one per line, blanks dropped."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
