#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_repository
short_description: Manage the borg repositories of a client
version_added: 0.1.0
description:
  - Creates, renames and removes borg repositories on a Borg Backup Server.
  - A repository that borg cannot initialise is removed again, and the task fails with borg's reason.
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
  name:
    description:
      - Name of the repository. The server makes lower case letters, digits, C(-) and C(_) of it, so C(Main
        Repo) and C(main-repo) are the same repository.
    type: str
    required: true
  new_name:
    description:
      - A new name for the repository O(name).
    type: str
  encryption:
    description:
      - How borg encrypts the repository. Cannot be changed later. The server's default is
        V(repokey-blake2).
    type: str
    choices: [none, repokey, repokey-blake2, authenticated, authenticated-blake2]
  passphrase:
    description:
      - The passphrase of a new repository. When it is left out, the module makes one and returns it once.
      - It cannot be changed or compared later, so it is ignored when the repository exists.
    type: str
  storage_type:
    description:
      - Whether the archives are kept on the server or on a third party's SSH server. Cannot be changed
        later.
      - V(remote_ssh) follows from O(remote_ssh_config).
    type: str
    choices: [local, remote_ssh]
  storage_location:
    description:
      - The storage location on the server, by name or id. Cannot be changed later. The default is the
        server's.
    type: str
  remote_ssh_config:
    description:
      - The third party's SSH server, by the name or id of its configuration. Cannot be changed later.
    type: str
  state:
    description:
      - V(present) makes sure that the repository exists.
      - V(absent) removes it with its archives. It fails while plans use it.
    type: str
    choices: [present, absent]
    default: present
  keep_data:
    description:
      - With O(state=absent), forget the repository but leave its archives on the disk.
    type: bool
    default: false
  delete_plans:
    description:
      - With O(state=absent), remove the plans that use the repository first.
    type: bool
    default: false
seealso:
  - module: borgfleet.bbs.bbs_client
  - module: borgfleet.bbs.bbs_plan
"""

EXAMPLES = r"""
---
- name: Create an encrypted repository and keep its passphrase
  borgfleet.bbs.bbs_repository:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: main
    passphrase: "{{ vault_repository_passphrase }}"

- name: Remove a repository with the plans that write into it
  borgfleet.bbs.bbs_repository:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: old
    state: absent
    delete_plans: true
"""

RETURN = r"""
---
repository:
  description: The repository as the server describes it. Null after it has been removed.
  returned: success
  type: dict
  sample:
    id: 3
    name: main
    path: ssh://bbs@backup.example.com/./main
    encryption: repokey-blake2
    storage_type: local
    archive_count: 0
    size_bytes: 0
id:
  description: The repository's id. Null in check mode when it would be created.
  returned: success
  type: int
  sample: 3
passphrase:
  description:
    - The passphrase of a repository that this task has created without being told one. It is not returned
      again; without it the archives cannot be read anywhere but on the server.
    - Null in every other case, and masked when O(passphrase) was given.
  returned: success
  type: str
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.repositories import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
