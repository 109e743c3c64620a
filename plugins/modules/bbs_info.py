#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_info
short_description: Read what a Borg Backup Server has
version_added: 0.1.0
description:
  - Reads clients, repositories, plans, plugin configs, jobs, archives, the queue, storage and plugins.
  - Never changes anything.
author:
  - borgfleet.bbs contributors (@borgfleet)
extends_documentation_fragment:
  - borgfleet.bbs.attributes.read_only
  - borgfleet.bbs.connection
options:
  gather:
    description:
      - What to read. Each costs at least one request, and what belongs to clients one for each client.
    type: list
    elements: str
    choices: [clients, repositories, plans, plugin_configs, jobs, archives, queue, storage, plugins]
    default: [clients]
  client:
    description:
      - Only this client and what belongs to it, by name or id. By default everything is read.
    type: str
  repository:
    description:
      - Only this repository and its archives, by name.
    type: str
  plan:
    description:
      - Only this plan and its jobs, by name.
    type: str
  plugin:
    description:
      - Only configs of this plugin, by its short name, such as V(mysql_dump).
    type: str
  status:
    description:
      - Only jobs of these statuses.
    type: list
    elements: str
    choices: [queued, sent, running, completed, failed, cancelled]
  limit:
    description:
      - At most how many jobs to return, up to 200. With O(plan) or O(status), they are chosen among the
        latest 200 of each client.
    type: int
    default: 50
seealso:
  - module: borgfleet.bbs.bbs_client
  - module: borgfleet.bbs.bbs_repository
  - module: borgfleet.bbs.bbs_plan
  - module: borgfleet.bbs.bbs_job
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: See what a client has, and its last failures
  borgfleet.bbs.bbs_info:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    gather: [repositories, plans, jobs]
    client: "{{ inventory_hostname }}"
    status: [failed]
    limit: 5
  register: backup

- name: Stop when a host has no plan
  ansible.builtin.assert:
    that: backup.plans | length > 0
"""

RETURN = r"""
---
clients:
  description: The clients, without their keys, each like RV(borgfleet.bbs.bbs_client#module:client).
  returned: when O(gather) contains V(clients)
  type: list
  elements: dict
repositories:
  description: The repositories, each with its C(client), and like RV(borgfleet.bbs.bbs_repository#module:repository).
  returned: when O(gather) contains V(repositories)
  type: list
  elements: dict
plans:
  description: The plans, each with its C(client), and like RV(borgfleet.bbs.bbs_plan#module:plan).
  returned: when O(gather) contains V(plans)
  type: list
  elements: dict
plugin_configs:
  description: The plugin configs with secrets masked, each with its C(client).
  returned: when O(gather) contains V(plugin_configs)
  type: list
  elements: dict
jobs:
  description: The latest jobs, newest first, each with its C(client), and like RV(borgfleet.bbs.bbs_job#module:job).
  returned: when O(gather) contains V(jobs)
  type: list
  elements: dict
  sample:
    - id: 12
      client: web1.example.com
      task_type: backup
      status: failed
      plan_name: nightly
      status_message: Connection closed by remote host
archives:
  description: The archives, newest first within each repository, each with its C(client) and C(repository).
  returned: when O(gather) contains V(archives)
  type: list
  elements: dict
  sample:
    - id: 31
      client: web1.example.com
      repository: main
      name: plan9-2026-11-24_02-30-00
      created_at: "2026-11-24 01:30:12"
      original_size: 5368709120
      deduplicated_size: 12582912
      file_count: 15000
queue:
  description: The jobs of the whole server that wait or run, oldest first.
  returned: when O(gather) contains V(queue)
  type: list
  elements: dict
plugins:
  description: The plugins that the server knows.
  returned: when O(gather) contains V(plugins)
  type: list
  elements: dict
storage:
  description: Storage locations on the server as C(local), and third parties' SSH servers as C(remote_ssh).
  returned: when O(gather) contains V(storage)
  type: dict
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.info import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
