# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`plugin_test` and `plugin_post`: one plugin without a backup around it (agent-protocol.md §11)."""

from typing import Any, Dict

from ..host import Host
from ..job import Job, TaskError
from ..plugins import PLUGINS
from ..plugins.base import Plugin, PluginError, PluginScope
from .outcome import COMPLETED, Result


def plugin_test(job: Job, host: Host) -> Result:
    """Try the plugin: database plugins connect and list, `shell_hook` really runs its scripts."""
    plugin = _plugin(job, host)
    try:
        text = plugin.test()
    except PluginError as error:
        raise TaskError(str(error)) from error
    return Result(_report(job, text))


def plugin_post(job: Job, host: Host) -> Result:
    """Run a post script that was to wait for the repository's other jobs."""
    plugin = _plugin(job, host)
    try:
        text = plugin.post(COMPLETED)
    except PluginError as error:
        raise TaskError(str(error)) from error
    return Result(_report(job, text or "Nothing to run."))


def _plugin(job: Job, host: Host) -> Plugin:
    entry = job.task.get("plugin")
    if not isinstance(entry, dict):
        raise TaskError("The server sent no plugin with this task.")
    slug = str(entry.get("slug") or "")
    if slug not in PLUGINS:
        raise TaskError("This agent has no plugin {!r}.".format(slug))
    return PLUGINS[slug](entry, PluginScope(job, host))


def _report(job: Job, text: str) -> Dict[str, Any]:
    return {"job_id": job.id, "result": COMPLETED, "output_log": job.clean(text)}
