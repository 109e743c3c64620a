# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory of what a server backs up."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bbs
short_description: Clients of a Borg Backup Server as an inventory
version_added: 0.1.0
author:
  - borgfleet.bbs contributors (@borgfleet)
description:
  - Each client of a Borg Backup Server becomes a host of the same name, with all that the server tells of it in the
    variable C(bbs_client).
  - Hosts are put into groups by the client's status, C(bbs_setup), C(bbs_online), C(bbs_offline) or C(bbs_error), and
    into C(bbs_stale) or C(bbs_never_backed_up) where the server says so. The bundled server does; an upstream server
    tells neither.
  - The file's name has to end in C(bbs.yml) or C(bbs.yaml).
extends_documentation_fragment:
  - borgfleet.bbs.connection.plugin
  - ansible.builtin.constructed
options:
  plugin:
    description:
      - Says that the file is for this plugin.
    type: str
    required: true
    choices: [borgfleet.bbs.bbs]
seealso:
  - module: borgfleet.bbs.bbs_info
"""

EXAMPLES = r"""
# fleet.bbs.yml: url and token from BBS_URL and BBS_TOKEN or BBS_TOKEN_FILE
plugin: borgfleet.bbs.bbs

---
# Reach hosts at the address their agent was last seen at, and group them by agent version
plugin: borgfleet.bbs.bbs
url: https://bbs.example.com
token_file: ~/.config/bbs/token
compose:
  ansible_host: bbs_client.ip_address
keyed_groups:
  - key: bbs_client.agent_version or 'none'
    prefix: agent
groups:
  needs_attention: bbs_client.stale or bbs_client.status == 'error'

# Then, for example:
#   ansible-inventory -i fleet.bbs.yml --graph bbs_stale
#   ansible-playbook -i fleet.bbs.yml --limit bbs_never_backed_up backup.yml
"""

from typing import Any

from ansible.errors import AnsibleParserError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

from ansible_collections.borgfleet.bbs.plugins.module_utils._client import ApiClient
from ansible_collections.borgfleet.bbs.plugins.module_utils._connection import CONNECTION_OPTIONS, Connection
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import BbsError, InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils.info import without_secrets

ENDINGS = ("bbs.yml", "bbs.yaml")
SIGNALS = ("stale", "never_backed_up")


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Clients as hosts."""

    NAME = "borgfleet.bbs.bbs"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(ENDINGS)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            clients = ApiClient(self._connection()).get_list("/clients", "clients")
        except BbsError as error:
            raise AnsibleParserError(str(error)) from error
        for client in clients:
            self._add(without_secrets(client))

    def _connection(self) -> Connection:
        """The server's address and the token, from the file or from the environment, as modules take them."""
        given = {name: self.templar.template(self.get_option(name)) for name in CONNECTION_OPTIONS}
        given = {name: value for name, value in given.items() if value is not None}
        validation = ArgumentSpecValidator(CONNECTION_OPTIONS).validate(given)
        if validation.error_messages:
            raise InvalidOption("; ".join(validation.error_messages))
        return Connection.from_options(validation.validated_parameters, given)

    def _add(self, client: dict[str, Any]) -> None:
        host = client["name"]
        self.inventory.add_host(host)
        self.inventory.set_variable(host, "bbs_client", client)
        for name in (client["status"], *(signal for signal in SIGNALS if client.get(signal))):
            self.inventory.add_child(self.inventory.add_group(f"bbs_{name}"), host)
        variables, strict = {"bbs_client": client}, self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)
