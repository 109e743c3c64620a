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
      - A new name for the repository O(name). Nothing happens when a repository of this name exists and
        O(name) does not. The server cannot rename a repository on a third party's SSH server.
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
      - The server of this collection tells where a repository lies, and the task fails when that is
        elsewhere; upstream does not tell.
    type: str
  remote_ssh_config:
    description:
      - The third party's SSH server, by the name or id of its configuration. Cannot be changed later.
      - What O(storage_location) says about reading it back holds here, too.
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
      - With O(state=absent), forget the repository but leave its archives on the disk. Those on a third
        party's SSH server always stay.
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
  - module: borgfleet.bbs.bbs_info
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
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

- name: Create a repository on the second disk, and keep its passphrase once it is known
  borgfleet.bbs.bbs_repository:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: media
    storage_location: Second disk
  register: media
  no_log: true

- name: Create a repository at a storage provider
  borgfleet.bbs.bbs_repository:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: offsite
    passphrase: "{{ vault_repository_passphrase }}"
    remote_ssh_config: storage-provider

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
  description:
    - The repository as the server describes it. Null after it has been removed.
    - When this task creates it there is only what the server answers to that, C(id), C(name), C(path), C(encryption)
      and C(storage_type); in check mode only what the task says.
  returned: success
  type: dict
  contains:
    id:
      description: The repository's id.
      type: int
    name:
      description: Its name, as the server has made it.
      type: str
    path:
      description: Where borg finds it, from the client.
      type: str
    encryption:
      description: How borg encrypts it.
      type: str
    storage_type:
      description: V(local) or V(remote_ssh).
      type: str
    size_bytes:
      description: What it occupies on the server's disk.
      type: int
    archive_count:
      description: How many archives it holds.
      type: int
    created_at:
      description: When it was created, in UTC.
      type: str
    s3_sync_enabled:
      description: Whether it is copied to S3. Not told by older servers.
      type: bool
    s3_last_sync_at:
      description: When it last was, in UTC. Not told by older servers.
      type: str
    storage_location_id:
      description: The id of the storage location. Only told by the server of this collection.
      type: int
    remote_ssh_config_id:
      description: The id of the third party's SSH server. Only told by the server of this collection.
      type: int
    storage_location_name:
      description: The storage location, if it lies on the server. Only told by the server of this collection.
      type: str
    remote_ssh_config_name:
      description: The third party's SSH server, if it lies there. Only told by the server of this collection.
      type: str
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
