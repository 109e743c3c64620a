#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_fleet
short_description: Manage the clients of a whole fleet, and what belongs to them, in one task
version_added: 0.1.0
description:
  - Brings the clients, repositories, plugin configs and plans of many hosts on a Borg Backup Server to what the
    inventory says of them. It is meant for one task with O(ignore:run_once), instead of four tasks for each host.
  - Each object is treated exactly as its own module treats it, with the same options. What is left out stays as it
    is.
  - A host that fails does not hold the others up. The task fails at the end, and says what each of them met. When the
    server itself fails or refuses, no further host is tried.
author:
  - borgfleet.bbs contributors (@borgfleet)
extends_documentation_fragment:
  - borgfleet.bbs.attributes
  - borgfleet.bbs.connection
  - borgfleet.bbs.fleet
options:
  purge:
    description:
      - Which objects to remove that O(hosts) does not list. Nothing is removed by default.
      - V(clients) are removed with their repositories and archives, as by O(hosts[].state=absent). Name every client
        of the server in O(hosts), also when the play is limited to some hosts.
      - Repositories, plugin configs and plans are only removed from hosts that list such objects. An empty list
        removes all of them; a host that leaves the list out keeps them.
    type: list
    elements: str
    choices: [clients, repositories, plugin_configs, plans]
  purge_maximum:
    description:
      - How many objects O(purge) may remove. If there are more, the task fails and nothing at all is changed.
      - Needed with O(purge).
    type: int
  concurrency:
    description:
      - How many hosts are worked on at the same time, at most 32.
    type: int
    default: 8
  return_secrets:
    description:
      - Return the keys, install commands and passphrases that are told once. Use C(no_log) on a task that does
        this, which also hides why it fails.
      - Without this, the passphrases of new repositories that do not name one are only known to the server, and a
        warning says so.
    type: bool
    default: false
seealso:
  - module: borgfleet.bbs.bbs_client
  - module: borgfleet.bbs.bbs_repository
  - module: borgfleet.bbs.bbs_plugin_config
  - module: borgfleet.bbs.bbs_plan
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: Bring all hosts to what the variable bbs_host of each says
  borgfleet.bbs.bbs_fleet:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    # For example in group_vars, where each host fills in its own values:
    # bbs_host:
    #   name: "{{ inventory_hostname }}"
    #   repositories: [{name: main, passphrase: "{{ vault_repository_passphrase }}"}]
    #   plans: [{name: nightly, repository: main, directories: [/etc, /home]}]
    hosts: "{{ groups['all'] | map('extract', hostvars, 'bbs_host') }}"
  run_once: true

- name: Write it out, and remove plans and plugin configs that are not written here
  borgfleet.bbs.bbs_fleet:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    hosts:
      - name: db1.example.com
        repositories:
          - name: main
            passphrase: "{{ vault_repository_passphrase }}"
        plugin_configs:
          - plugin: mysql_dump
            name: production
            config:
              user: backup
              password: "{{ vault_mysql_backup_password }}"
        plans:
          - name: nightly
            repository: main
            directories: [/etc, /srv]
            times: ["02:30"]
            timezone: Europe/Berlin
            plugin_configs: [production]
      - name: db2.example.com
        repositories:
          - name: main
            passphrase: "{{ vault_repository_passphrase }}"
        plugin_configs: []
        plans:
          - name: nightly
            repository: main
            directories: [/etc]
      - name: db0.example.com
        state: absent
    purge: [plans, plugin_configs]
    purge_maximum: 10
  run_once: true

- name: Register many hosts, and keep what their agents are installed with
  borgfleet.bbs.bbs_fleet:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    hosts: [{name: app1.example.com}, {name: app2.example.com}]
    return_secrets: true
  run_once: true
  register: fleet
  no_log: true
"""

RETURN = r"""
---
hosts:
  description:
    - What became of each host, by name. A task that fails leaves out those that are as they shall be.
    - The hosts' C(plans) and so on are there when the host lists some. Plugin configs are named C(plugin/name), and
      repositories as the server calls them.
  returned: unless an option is malformed or the server cannot be reached at first
  type: dict
  contains:
    changed:
      description: Whether anything about the host changed.
      type: bool
    failed:
      description: Whether it is not where it shall be.
      type: bool
    msg:
      description: Why it failed.
      type: str
    id:
      description: The client's id. Null when it is gone, and in check mode when it would be created.
      type: int
    status:
      description: C(setup) until the agent has registered, then C(online) or C(offline).
      type: str
    action:
      description: C(created), C(updated), C(deleted) or C(unchanged), for the client and for each of its objects.
      type: str
    api_key:
      description: The agent's key, a secret, with O(return_secrets) and until an agent has registered.
      type: str
    install_command:
      description: The command that installs the agent, a secret as well, under the same conditions.
      type: str
    repositories:
      description:
        - The C(action) and C(id) of each repository.
        - With O(return_secrets) and when it was created, also its C(passphrase), a secret.
      type: dict
    plugin_configs:
      description: The C(action) and C(id) of each plugin config.
      type: dict
    plans:
      description: The C(action) and C(id) of each plan.
      type: dict
  sample:
    web1:
      changed: true
      failed: false
      action: unchanged
      id: 7
      status: online
      plans:
        nightly:
          action: updated
          id: 12
summary:
  description: How many hosts there are, how many of them changed or failed, and what was done to objects of each kind.
  returned: when RV(hosts) is
  type: dict
  sample:
    hosts: 1000
    changed: 2
    failed: 0
    clients: {created: 1, updated: 0, deleted: 0, unchanged: 999}
    repositories: {created: 1, updated: 0, deleted: 0, unchanged: 999}
    plugin_configs: {created: 0, updated: 0, deleted: 0, unchanged: 0}
    plans: {created: 1, updated: 1, deleted: 0, unchanged: 998}
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.fleet import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
