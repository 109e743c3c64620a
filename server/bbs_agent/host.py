# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every task handler may use of this installation."""

import os
from typing import Any, Dict, NamedTuple

from .api import Api
from .config import Layout
from .redact import Redactor
from .ssh import Ssh
from .timing import Timing

UTF8 = "C.UTF-8"


class Host(NamedTuple):
    """One installation: its paths, its server and the way to the repositories, its secrets."""

    layout: Layout
    api: Api
    ssh: Ssh
    redactor: Redactor
    timing: Timing
    auto_update: bool

    def environment(self) -> Dict[str, str]:
        """The environment for child processes: our own, in UTF-8, borg's files where they belong."""
        env = dict(os.environ)
        # The installer and `verify` take the key from here; no child has any business with it.
        env.pop("BBS_AGENT_KEY", None)
        if not is_utf8(env.get("LC_ALL") or env.get("LANG") or ""):
            env.update(LC_ALL=UTF8, LANG=UTF8)
        if self.layout.borg_base is not None:
            env["BORG_BASE_DIR"] = self.layout.borg_base
        return env

    def borg_environment(self, task_env: Any) -> Dict[str, str]:
        """The environment for borg: the task's variables on top, and our own way to the server."""
        env = self.environment()
        # Borg 1.4 and 2 have finer exit codes; the mapping of §10.4 knows 0, 1 and 2.
        env["BORG_EXIT_CODES"] = "legacy"
        if isinstance(task_env, dict):
            env.update({str(name): str(value) for name, value in task_env.items() if value is not None})
        if self.ssh.access is not None and self.ssh.has_key:
            env["BORG_RSH"] = self.ssh.borg_rsh()
        return env


def is_utf8(locale: str) -> bool:
    """Whether a locale name such as `de_DE.UTF-8` says that texts are UTF-8."""
    return locale.lower().replace("-", "").endswith("utf8")
