#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_client
short_description: Manage the clients of a Borg Backup Server
version_added: 0.1.0
description:
  - Creates, renames and removes clients, which are the machines that a Borg Backup Server backs up.
  - Returns the command that installs the agent on the machine and connects it to the server.
author:
  - borgfleet.bbs contributors (@borgfleet)
extends_documentation_fragment:
  - borgfleet.bbs.attributes
  - borgfleet.bbs.connection
options:
  name:
    description:
      - Name of the client, usually the host's.
    type: str
    required: true
  new_name:
    description:
      - A new name for the client O(name). Nothing happens when a client of this name exists and O(name)
        does not. When neither exists, a client of the new name is created.
    type: str
  state:
    description:
      - V(present) makes sure that the client exists.
      - V(absent) removes it, with its plans and repositories and their archives. It fails while jobs of it
        wait or run, see O(force).
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - With O(state=absent), remove the client even if jobs of it wait or run.
    type: bool
    default: false
  rotate_key:
    description:
      - Give the client a new agent key, for enrolment. Always a change.
      - The old one stops working at once, and the agent with it until it has the new one; see O(overlap_hours).
      - Only the server of this collection can do this; upstream has it on its web pages only.
    type: bool
    default: false
  rotate_key_after_days:
    description:
      - Give the client a new agent key, as O(rotate_key) does, if an agent has used the present one for longer than
        this many days, at least 1. A new key that no agent has used yet is not replaced by another.
      - So it can stand in a playbook that runs every day.
      - Only the server of this collection can do this, see O(rotate_key).
    type: int
  overlap_hours:
    description:
      - When the key is replaced, how many hours the old key works on beside the new one, from 0 to 720. It ends as soon
        as the new one is used.
      - So the agent goes on working until the new key has reached the machine, for example by the role
        P(borgfleet.bbs.agent#role). A key that somebody may have seen is better ended at once.
    type: int
seealso:
  - module: borgfleet.bbs.bbs_repository
  - module: borgfleet.bbs.bbs_plan
  - module: borgfleet.bbs.bbs_info
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: Register every host of the play, without a connection to it
  borgfleet.bbs.bbs_client:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    name: "{{ inventory_hostname }}"
  register: client
  no_log: true

- name: Install the agent, unless it has registered already
  ansible.builtin.shell: "{{ client.install_command }}"
  when: client.status == "setup"
  no_log: true

- name: Give a machine its new name
  borgfleet.bbs.bbs_client:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    name: old.example.com
    new_name: new.example.com
  no_log: true

- name: Replace a machine's agent key twice a year while its backups go on
  borgfleet.bbs.bbs_client:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    name: web1.example.com
    rotate_key_after_days: 182
    overlap_hours: 24
  register: client
  no_log: true

- name: Remove a client and everything that it has backed up
  borgfleet.bbs.bbs_client:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    name: decommissioned.example.com
    state: absent
"""

RETURN = r"""
---
client:
  description:
    - The client as the server describes it, without its key. Null after it has been removed.
    - What the agent reports is null until it has registered. When this task creates the client there is only what
      the server answers to that, its C(id), C(name) and C(status); in check mode only its C(name).
  returned: success
  type: dict
  contains:
    id:
      description: The client's id.
      type: int
    name:
      description: Its name.
      type: str
    status:
      description: The same as RV(status).
      type: str
    hostname:
      description: What the machine calls itself.
      type: str
    ip_address:
      description: Where its agent calls from.
      type: str
    os_info:
      description: Its operating system.
      type: str
    agent_version:
      description: The agent's version.
      type: str
    borg_version:
      description: The version of borg on the machine.
      type: str
    last_heartbeat:
      description: When the agent last called, in UTC.
      type: str
    registered_at:
      description:
        - When an agent came with the present key for the first time, in UTC; null until then. Only told by the server
          of this collection.
      type: str
    created_at:
      description: When the client was created, in UTC.
      type: str
    owner:
      description: The user of the server who owns the client.
      type: str
    client_profile_id:
      description: Always null on the server of this collection, which has no profiles. Not told by older servers.
      type: int
    client_profile_name:
      description: The same as for RV(client.client_profile_id).
      type: str
    stale:
      description: Whether a plan's latest good backup is too old. Only told by the server of this collection.
      type: bool
    never_backed_up:
      description: Whether no backup of it has succeeded yet. Only told by the server of this collection.
      type: bool
  sample:
    id: 7
    name: web1.example.com
    hostname: web1
    status: online
    agent_version: 2.91.1
    borg_version: 1.4.0
    last_heartbeat: "2026-11-23 10:15:00"
id:
  description: The client's id. Null in check mode when the client would be created.
  returned: success
  type: int
  sample: 7
status:
  description: C(setup) until the agent has registered, then C(online) or C(offline).
  returned: success
  type: str
  sample: setup
api_key:
  description:
    - The agent's key, a secret. Use C(no_log) on the task that registers it.
    - Null when the server does not tell it any more, since an agent has registered with it.
  returned: success
  type: str
install_command:
  description:
    - A shell command that installs the agent on the client. It contains RV(api_key), so it is a secret as
      well.
    - Null when the server does not tell the key any more.
  returned: success
  type: str
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.clients import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
