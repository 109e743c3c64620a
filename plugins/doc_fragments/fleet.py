# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules for single objects, as bbs_fleet has them for each host."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from ansible_collections.borgfleet.bbs.plugins.modules import bbs_client, bbs_plan, bbs_plugin_config, bbs_repository

Options = dict[str, Any]

LISTS = {"repositories": bbs_repository, "plugin_configs": bbs_plugin_config, "plans": bbs_plan}
ABOUT = {
    "repositories": "The client's repositories, with the options of M(borgfleet.bbs.bbs_repository).",
    "plugin_configs": "The client's plugin configs, with the options of M(borgfleet.bbs.bbs_plugin_config).",
    "plans": "The client's plans, with the options of M(borgfleet.bbs.bbs_plan).",
}
LEFT_ALONE = "Those that are not listed stay as they are, see O(purge)."


def options_of(module: Any, path: str) -> Options:
    """A module's own options; what they say of one another holds below the path."""
    options: Options = yaml.safe_load(module.DOCUMENTATION)["options"]
    options.pop("client", None)
    text = json.dumps(options)
    text = re.sub(r"\bO\((?=[a-z_])", f"O({path}.", text)
    found: Options = json.loads(re.sub(r"\bRV\(", "C(", text))
    return found


def hosts() -> Options:
    """What one host can have."""
    lists = {
        name: {
            "description": [ABOUT[name], LEFT_ALONE],
            "type": "list",
            "elements": "dict",
            "suboptions": options_of(module, f"hosts[].{name}[]"),
        }
        for name, module in LISTS.items()
    }
    return {**options_of(bbs_client, "hosts[]"), **lists}


class ModuleDocFragment:
    # Annotated, since the yamllint of ansible-test reads what is merely assigned, and knows only literals.
    DOCUMENTATION: str = yaml.safe_dump(
        {
            "options": {
                "hosts": {
                    "description": [
                        "The hosts, each with the options of M(borgfleet.bbs.bbs_client), and with what it has.",
                        "A host with O(hosts[].state=absent) may list things all the same; they go with the client.",
                        "All of it is checked before anything is changed.",
                    ],
                    "type": "list",
                    "elements": "dict",
                    "required": True,
                    "suboptions": hosts(),
                }
            }
        },
        sort_keys=False,
    )
