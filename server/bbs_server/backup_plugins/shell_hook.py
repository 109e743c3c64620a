# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands on the client before and after a backup (admin-api.md §7)."""

from __future__ import annotations

from bbs_server.backup_plugins import rules
from bbs_server.backup_plugins.schema import ABORT_ON_FAILURE, Option, Plugin

LATER = "repo_jobs"
"""The ``post_script_timing`` of a hook that the server asks for by itself, when the repository is at rest."""

LONGEST_SECONDS = 7 * 24 * 3600

PLUGIN = Plugin(
    identifier=5,
    slug="shell_hook",
    name="Shell hook",
    description="Runs a program of yours on the client before borg starts, after it ended, or both.",
    fields={
        "pre_script": Option(
            kind="text", label="Program before the backup", help="A path, arguments allowed.", rule=rules.words
        ),
        "post_script": Option(
            kind="text", label="Program after the backup", help="Runs after failures too.", rule=rules.words
        ),
        "timeout": Option(
            kind="number", label="Timeout in seconds", default=300, rule=rules.between(1, LONGEST_SECONDS)
        ),
        "post_script_timing": Option(
            kind="select",
            label="When the second program runs",
            default="backup",
            options={"backup": "Right after borg", LATER: "When the repository has no more work"},
        ),
        "expose_passphrase": Option(
            kind="checkbox",
            label="Let the programs read the repository's passphrase",
            default=False,
            help="Sets BORG_PASSCOMMAND and BORG_REPO for them.",
        ),
        "abort_on_failure": ABORT_ON_FAILURE,
    },
)
