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
  - When the plan has a backup under way already, the task joins that one.
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
      - A job, by id, to cancel or to retry. By default the plan's active, respectively latest, backup.
    type: int
  state:
    description:
      - V(triggered) runs the plan now. It is a change, unless a backup of the plan is under way, or recent
        enough, see O(maximum_age).
      - V(cancelled) ends the job. It is no change when none is under way. What the server does to clean up
        after it goes on.
      - V(retried) runs a failed job again. It is no change when the job has not failed.
    type: str
    choices: [triggered, cancelled, retried]
    default: triggered
  maximum_age:
    description:
      - With O(state=triggered), do nothing if the plan has completed a backup within this time, in seconds.
        By the clocks of controller and server, which should agree.
      - By default every task starts a backup.
    type: int
  wait:
    description:
      - Wait until the job has ended. While it runs, its progress is shown on the terminal, unless the task is
        delegated to another host.
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
  - module: borgfleet.bbs.bbs_info
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: Have a backup that is at most an hour old before an upgrade
  borgfleet.bbs.bbs_job:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    plan: nightly
    maximum_age: 3600
    wait_timeout: 7200

- name: Run the last backup again if it has failed
  borgfleet.bbs.bbs_job:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    plan: nightly
    state: retried

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
  contains:
    id:
      description: The job's id.
      type: int
    task_type:
      description: What it does, such as V(backup).
      type: str
    status:
      description: V(queued), V(sent), V(running), V(completed), V(failed) or V(cancelled).
      type: str
    plan_name:
      description: Its plan.
      type: str
    files_total:
      description: How many files the backup covers.
      type: int
    bytes_total:
      description: How many bytes they have.
      type: int
    duration_seconds:
      description: How long it took.
      type: int
    queued_at:
      description: When it was queued, in UTC.
      type: str
    completed_at:
      description: When it ended, in UTC.
      type: str
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
