# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`update_agent`: the agent replaces itself by the one its server has (agent-protocol.md §7.2)."""

import hashlib
import os
import re
import sys
from typing import Any, Dict

from .. import VERSION
from ..api import ApiError
from ..files import remove
from ..host import Host
from ..job import Job, TaskError
from ..probation import Probation
from ..service import own_zipapp
from .outcome import COMPLETED, Result

ARTIFACT = "bbs-agent.pyz"
TRIAL_TIMEOUT = 300.0


def update_agent(job: Job, host: Host) -> Result:
    """Download, compare the digest, try it, replace; the restarted agent reports the job.

    Nothing is replaced before the new agent has asked the server for tasks, with this machine's
    Python and configuration. One that fails later gives way again (probation.py).
    """
    zipapp = own_zipapp()
    if not host.auto_update:
        raise TaskError("Updates of the agent are switched off on this machine (auto_update in config.ini).")
    if zipapp is None:
        raise TaskError("This agent does not run from one file that could be replaced.")
    job.say("Downloading the agent...")
    digest = _announced(host)
    if digest == _digest(_content(zipapp)):
        return Result(_report(job, "The agent is up to date (version {}).".format(VERSION)))
    content = host.api.download(ARTIFACT)
    if _digest(content) != digest:
        raise TaskError("The downloaded agent does not have the digest the server names.")
    new = zipapp + ".new"
    try:
        _write(new, content)
        job.say("Trying the new agent...")
        version = _tried(job, host, new)
        Probation(host.layout).replace(zipapp, new, version)
    finally:
        remove(new)
    return Result(_report(job, "Updated the agent from {} to {}.".format(VERSION, version)), restarts=True)


def _announced(host: Host) -> str:
    """The digest of the server's agent. An upstream server has another agent, which is none for us."""
    try:
        words = host.api.download(ARTIFACT + ".sha256").decode("ascii", "replace").split()
    except ApiError as error:
        raise TaskError("The server offers no {}: {}".format(ARTIFACT, error)) from error
    if len(words) != 2 or not re.match(r"[0-9a-f]{64}$", words[0]) or words[1] != ARTIFACT:
        raise TaskError("The server sent no digest of the agent.")
    return words[0]


def _tried(job: Job, host: Host, new: str) -> str:
    """The version of the new agent, after it has shown that it works here."""
    for arguments in (["run", "--trial", "--config", host.layout.config], ["version"]):
        done = job.runner().script([sys.executable, new] + arguments, host.environment(), TRIAL_TIMEOUT)
        if done.code != 0:
            reason = done.output.splitlines()[-1:] or ["exit code {}".format(done.code)]
            raise TaskError("The new agent does not work here, the old one stays: {}".format(reason[0]))
    return done.output.strip()


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(path, 0o755)


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _report(job: Job, text: str) -> Dict[str, Any]:
    return {"job_id": job.id, "result": COMPLETED, "output_log": text}
