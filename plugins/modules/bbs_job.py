#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_job
short_description: Run a backup now, wait for it, cancel or retry it
version_added: 0.1.0
description:
  - Triggers a plan on a Borg Backup Server and waits until the backup is complete, showing its progress.
  - When the plan has a job under way already, the task joins that one.
  - The task fails with the last lines of the job's log when the job fails.
author:
  - borgfleet.bbs contributors (@borgfleet)
extends_documentation_fragment:
  - borgfleet.bbs.attributes
  - borgfleet.bbs.connection
options:
  client:
    description:
      - The client, by name. A number that is no client's name is taken as an id.
    type: str
    required: true
  plan:
    description:
      - The plan, by name. Needed with O(state=triggered); for the other states O(job) may be given instead.
    type: str
  job:
    description:
      - A job, by id, to cancel or to retry. By default the plan's active, respectively latest, job.
    type: int
  state:
    description:
      - V(triggered) runs the plan now. It is a change, unless a job of the plan is under way.
      - V(cancelled) ends the job. It is no change when none is under way.
      - V(retried) runs a failed job again. It is no change when the job has not failed.
    type: str
    choices: [triggered, cancelled, retried]
    default: triggered
  wait:
    description:
      - Wait until the job has ended.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for the end of the job, in seconds. The job goes on when the task gives up.
    type: int
    default: 3600
  poll_interval:
    description:
      - How often to look, in seconds.
    type: float
    default: 2.0
seealso:
  - module: borgfleet.bbs.bbs_plan
"""

EXAMPLES = r"""
---
- name: Run a backup before an upgrade
  borgfleet.bbs.bbs_job:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    plan: nightly
    wait_timeout: 7200

- name: End whatever the plan is doing
  borgfleet.bbs.bbs_job:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    plan: nightly
    state: cancelled
"""

RETURN = r"""
---
job:
  description: The job as the server describes it. Null when there is none, as in check mode.
  returned: when the job is known, also on failure
  type: dict
  sample:
    id: 12
    task_type: backup
    status: completed
    plan_name: nightly
    files_total: 15000
    bytes_total: 5368709120
    duration_seconds: 342
id:
  description: The job's id.
  returned: success
  type: int
  sample: 12
log:
  description: The last lines of the job's log.
  returned: when the job has failed
  type: list
  elements: str
  sample: ["Connection closed by remote host"]
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.jobs import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
