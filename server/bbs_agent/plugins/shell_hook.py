# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`shell_hook`: scripts of the administrator before and after a backup."""

import os
import shlex
import shutil
from contextlib import ExitStack
from typing import Dict, List

from ..borg import repository_of
from ..process import Finished
from .base import Plugin, PluginError, number, truth

DEFAULT_TIMEOUT = 300
# This timing leaves the post script to a later `plugin_post` task.
LATER = "repo_jobs"
PENDING = "pending"


class ShellHook(Plugin):
    """Runs `pre_script` and `post_script`; an exit code other than 0 is a failure."""

    label = "Shell Script Hook"

    def pre(self) -> str:
        script = self._script("pre_script")
        if not script:
            return ""
        done = self._run(script, PENDING)
        text = "Shell hook: pre-script: {} (exit 0)".format(script)
        if self._script("post_script"):
            text += " | post-script: {} (pending)".format(self._script("post_script"))
        return text + (" | output: {}".format(done.output) if done.output else "")

    def post(self, result: str) -> str:
        script = self._script("post_script")
        # A plugin_post task *is* the later moment, and belongs to no backup.
        in_backup = self.scope.job.kind == "backup"
        if not script or (in_backup and self.config.get("post_script_timing") == LATER):
            return ""
        done = self._run(script, result)
        text = "Shell hook post-script: {} completed (exit 0)".format(script)
        return text + (": {}".format(done.output) if done.output else "")

    def test(self) -> str:
        parts = []
        for title, key, status in (
            ("Pre-script", "pre_script", PENDING),
            ("Post-script", "post_script", "completed"),
        ):
            script = self._script(key)
            if script:
                done = self._run(script, status)
                parts.append("{}: {} exit 0 - {}".format(title, script, done.output or "no output"))
        return " | ".join(parts) or "No script is set: nothing to run."

    def _script(self, key: str) -> str:
        return str(self.config.get(key) or "").strip()

    def _run(self, script: str, status: str) -> Finished:
        argv = _split(script)
        timeout = number(self.config.get("timeout"), DEFAULT_TIMEOUT)
        with ExitStack() as stack:
            env = self._environment(status, stack)
            try:
                done = self.scope.job.runner().script(argv, env, timeout)
            except OSError as error:
                raise PluginError("{} cannot be started: {}".format(script, error.strerror)) from error
        if done.timed_out:
            raise PluginError("{} took longer than {} s and was stopped".format(script, timeout))
        if done.code != 0:
            said = ": {}".format(done.output) if done.output else ""
            raise PluginError("{} failed with exit code {}{}".format(script, done.code, said))
        return done

    def _environment(self, status: str, stack: ExitStack) -> Dict[str, str]:
        """What a script may know (§11); the passphrase only if the config exposes it."""
        task = self.scope.job.task
        env = self.scope.host.environment()
        env.update(
            BBS_ARCHIVE_NAME=str(task.get("archive_name") or ""),
            BBS_REPO_PATH=repository_of(task),
            BBS_BACKUP_PLAN=str(task.get("plan_name") or ""),
            BBS_CLIENT_NAME=str(task.get("client_name") or ""),
            BBS_BACKUP_STATUS=status,
            BBS_DIRECTORIES=str(task.get("directories") or ""),
            BBS_JOB_ID=str(self.scope.job.id),
        )
        passphrase = (task.get("env") or {}).get("BORG_PASSPHRASE")
        if passphrase and truth(self.config.get("expose_passphrase"), False):
            path = stack.enter_context(self.scope.private_file("passphrase", str(passphrase)))
            env.update(BORG_PASSCOMMAND="cat " + shlex.quote(path), BORG_REPO=repository_of(task))
            if not task.get("remote_ssh_key"):
                rsh = self.scope.host.borg_environment(task.get("env")).get("BORG_RSH")
                env.update({"BORG_RSH": rsh} if rsh else {})
        return env


def _split(script: str) -> List[str]:
    """A script with arguments, split like a shell does. Raises PluginError when it does not exist."""
    try:
        argv = shlex.split(script)
    except ValueError as error:
        raise PluginError("{} cannot be split into words: {}".format(script, error)) from error
    if not os.path.exists(argv[0]) and shutil.which(argv[0]) is None:
        raise PluginError("{} does not exist".format(argv[0]))
    return argv
