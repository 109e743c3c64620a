#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_plugin_config
short_description: Manage what a client does around its backups
version_added: 0.1.0
description:
  - Creates, changes and removes plugin configs on a Borg Backup Server. A plugin config tells a client's
    agent to dump a database or to run a hook before or after a backup. Attach it to plans with
    M(borgfleet.bbs.bbs_plan).
  - O(config) is checked against the schema that the server publishes for the plugin.
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
  plugin:
    description:
      - The plugin's short name, such as V(mysql_dump), V(pg_dump), V(mongo_dump), V(shell_hook) or
        V(s3_sync).
      - A config belongs to its plugin for good.
    type: str
    required: true
  name:
    description:
      - Name of the config, unique for the client and the plugin.
    type: str
    required: true
  new_name:
    description:
      - A new name for the config O(name). Nothing happens when a config of this name exists and O(name) does
        not. Plans keep it attached.
    type: str
  config:
    description:
      - The plugin's settings. What is left out stays as it is, see O(replace).
      - Settings that the plugin declares as secret are shown nowhere.
    type: dict
  replace:
    description:
      - Settings that O(config) leaves out go back to the plugin's defaults, instead of staying as they are.
        Secrets stay, since the server cannot clear them.
    type: bool
    default: false
  update_secrets:
    description:
      - What to do with secrets in O(config) when the server already has them, as it never tells them again.
      - V(always) sends them on every run, which always counts as a change.
      - V(on_create) sends them only when none is stored.
      - When this is left out, the server is asked which of them differ, if it can answer that; otherwise
        this is like V(on_create).
    type: str
    choices: [always, on_create]
  state:
    description:
      - V(present) makes sure that the config exists.
      - V(absent) removes it, also from the plans that it is attached to.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: borgfleet.bbs.bbs_plan
  - module: borgfleet.bbs.bbs_client
  - module: borgfleet.bbs.bbs_info
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: Dump all MySQL databases before a backup
  borgfleet.bbs.bbs_plugin_config:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    plugin: mysql_dump
    name: production
    config:
      user: bbs_backup
      password: "{{ vault_mysql_backup_password }}"
      databases: "*"

- name: Stop a service while borg reads its files
  borgfleet.bbs.bbs_plugin_config:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    plugin: shell_hook
    name: quiesce
    config:
      pre_script: /usr/local/sbin/quiesce start
      post_script: /usr/local/sbin/quiesce stop
      abort_on_failure: true
"""

RETURN = r"""
---
plugin_config:
  description: The config, with secrets masked. Null after it has been removed.
  returned: success
  type: dict
  contains:
    id:
      description: The config's id. Not there in check mode when it would be created.
      type: int
    plugin:
      description: The plugin's short name.
      type: str
    name:
      description: The config's name.
      type: str
    config:
      description:
        - The settings; each secret that is set is C(********).
        - When this task creates the config, only those that it names, without the plugin's defaults.
      type: dict
  sample:
    id: 5
    plugin: mysql_dump
    name: production
    config:
      user: bbs_backup
      password: "********"
id:
  description: The config's id. Null in check mode when it would be created.
  returned: success
  type: int
  sample: 5
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.plugin_configs import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
