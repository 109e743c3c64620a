# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`update_borg`: another borg, as one binary or by pip (agent-protocol.md §7.2)."""

import os
import sys
from typing import Any, Dict, List

from ..api import ApiError
from ..files import read_text, remove, write_private
from ..host import Host
from ..job import Job, TaskError
from ..logs import LOG
from ..process import Finished
from ..system import borg_version, facts, find_borg
from .outcome import COMPLETED, Result

SOURCES = ("official", "server")
INSTALL_TIMEOUT = 3600.0


def update_borg(job: Job, host: Host) -> Result:
    """Install the wanted version at `binary_path`; what is there is replaced only by a borg that starts."""
    task = job.task
    target = str(task.get("target_version") or "")
    path = str(task.get("binary_path") or "/usr/local/bin/borg")
    before = borg_version(find_borg())
    if task.get("install_method") == "skip" or (target and before == target):
        return Result(_report(job, "Nothing to do: borg {} is installed.".format(before)))
    if task.get("install_method") == "binary":
        version = _from_binary_or_pip(job, host, path, target)
    elif task.get("install_method") == "pip":
        version = _from_pip(job, host, path, target)
    else:
        raise TaskError("This agent does not know the install_method {!r}.".format(task.get("install_method")))
    if task.get("source") in SOURCES:
        write_private(host.layout.borg_source, str(task["source"]))
    try:
        host.api.info(facts(host.api.url, host.auto_update, read_text(host.layout.borg_source)))
    except ApiError as error:
        # The next registration tells the same.
        LOG.info("Job %s: facts not delivered: %s", job.id, error)
    return Result(_report(job, "Installed borg {} at {}; it was {}.".format(version, path, before or "missing")))


def _from_binary_or_pip(job: Job, host: Host, path: str, target: str) -> str:
    try:
        return _from_binary(job, host, path, target)
    except (TaskError, ApiError, OSError) as error:
        if not job.task.get("fallback_to_pip"):
            raise TaskError(str(error)) from error
        job.log("The binary cannot be used, pip is tried: {}".format(error), "warning")
        return _from_pip(job, host, path, target)


def _from_binary(job: Job, host: Host, path: str, target: str) -> str:
    address = job.task.get("download_url")
    if not address:
        raise TaskError("The server named no download_url.")
    job.say("Downloading borg...")
    new = path + ".new"
    remove(new)
    try:
        with open(new, "xb") as stream:
            host.api.fetch(str(address), stream)
        os.chmod(new, 0o755)
        version = _version(new, target)
        os.replace(new, path)
    finally:
        remove(new)
    return version


def _from_pip(job: Job, host: Host, path: str, target: str) -> str:
    """In a virtual environment of its own: distributions refuse, rightly, to let pip change theirs."""
    place = host.layout.borg_environment
    job.say("Installing borg with pip...")
    if not os.path.exists(os.path.join(place, "bin", "pip")):
        _must(job, host, [sys.executable, "-m", "venv", place])
    wanted = "borgbackup" + ("==" + target if target else "")
    pip = [os.path.join(place, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    _must(job, host, [*pip, "--upgrade", wanted])
    version = _version(os.path.join(place, "bin", "borg"), target)
    link = path + ".new"
    remove(link)
    os.symlink(os.path.join(place, "bin", "borg"), link)
    os.replace(link, path)
    return version


def _must(job: Job, host: Host, argv: List[str]) -> Finished:
    done = job.runner().script(argv, host.environment(), INSTALL_TIMEOUT)
    if done.code != 0:
        said = "; ".join(done.output.splitlines()[-3:])
        raise TaskError("{} failed with exit code {}: {}".format(" ".join(argv[:3]), done.code, said))
    return done


def _version(borg: str, target: str) -> str:
    """The version of a borg that is to be used from now on. Raises TaskError when it is not the right one."""
    version = borg_version(borg)
    if version is None:
        raise TaskError("the new borg does not start on this machine")
    if target and version != target:
        raise TaskError("the new borg has the version {}, not {}".format(version, target))
    return version


def _report(job: Job, text: str) -> Dict[str, Any]:
    return {"job_id": job.id, "result": COMPLETED, "output_log": text}
