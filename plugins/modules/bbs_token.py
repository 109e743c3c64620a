#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_token
short_description: Manage the API tokens of a Borg Backup Server
version_added: 0.1.0
description:
  - Creates, replaces and revokes the tokens with which programs use the server's API.
  - With O(url) and a token the API is used. Without, the server's own command is run on the target host, or
    on the host that the task is delegated to. This is how the first token comes about; let that be the
    server's host, and the user one that may read the server's configuration.
author:
  - borgfleet.bbs contributors (@borgfleet)
extends_documentation_fragment:
  - borgfleet.bbs.attributes
  - borgfleet.bbs.connection
options:
  name:
    description:
      - Name of the token.
    type: str
    required: true
  dest:
    description:
      - A file on the controller to write the token to, readable for its owner only.
      - When the token exists and this file is there, nothing changes. When the token exists and the file is
        not there, the task fails, since the server never repeats a token; see O(rotate).
      - With O(state=absent) the file is removed as well.
    type: path
  scope:
    description:
      - What the token may do, such as V(admin), V(provision) or V(read). Cannot be changed later.
      - Only the server of this collection has scopes. Where a server would ignore it, the task fails before a
        token is made.
    type: str
  expires_at:
    description:
      - When the token stops working, as C(YYYY-MM-DD HH:MM:SS) in UTC or in ISO 8601. Cannot be changed
        later.
      - Only the server of this collection has this, and only its API. Elsewhere the task fails.
    type: str
  can_read_secrets:
    description:
      - Whether the token may read passphrases of repositories. Cannot be changed later. Only over the API.
    type: bool
  rotate:
    description:
      - Revoke the token if it exists, and make a new one of the same name. Always a change.
    type: bool
    default: false
  state:
    description:
      - V(present) makes sure that the token exists.
      - V(absent) revokes it.
    type: str
    choices: [present, absent]
    default: present
  command:
    description:
      - The server's command, and arguments before its own. Setting this uses the command even if O(url) and
        O(token) are known.
    type: list
    elements: str
    default: [bbs-token]
  server_config:
    description:
      - The server's configuration file, passed to O(command) in the environment variable
        E(BBS_SERVER_CONFIG).
      - Setting this uses the command even if O(url) and O(token) are known.
    type: path
seealso:
  - module: borgfleet.bbs.bbs_client
  - module: borgfleet.bbs.bbs_info
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: Make the first token on the server's host, and keep it on the controller
  borgfleet.bbs.bbs_token:
    name: ansible
    dest: ~/.config/bbs/token
  delegate_to: backup.example.com
  become: true
  become_user: bbs

- name: Make a token that can only read, over the API
  borgfleet.bbs.bbs_token:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    name: monitoring
    scope: read
    expires_at: "2035-01-01"
    dest: ~/.config/bbs/monitoring-token

- name: Revoke the token of someone who has left
  borgfleet.bbs.bbs_token:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    name: former-colleague
    state: absent
"""

RETURN = r"""
---
name:
  description: Name of the token.
  returned: success
  type: str
  sample: ansible
id:
  description: The token's id. Null when the command was used, which does not tell it.
  returned: success
  type: int
  sample: 4
dest:
  description: The file that holds the token, if there is one.
  returned: success
  type: str
  sample: ~/.config/bbs/token
token:
  description:
    - The token itself, when this task has made it and O(dest) is not set. A secret that is returned this
      once; use C(no_log) on the task that registers it.
  returned: success
  type: str
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.tokens import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
