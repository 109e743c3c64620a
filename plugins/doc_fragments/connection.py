# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options, documented once."""

from __future__ import annotations

_OPTIONS = r"""
options:
  url:
    description:
      - Address of the Borg Backup Server, without C(/api/v1).
      - If not set, the environment variable E(BBS_URL) is used.
    type: str
  token:
    description:
      - An API token, as M(borgfleet.bbs.bbs_token) makes it.
      - If not set, the environment variable E(BBS_TOKEN) is used.
      - Takes precedence over O(token_file), unless only O(token_file) is set by the task or its defaults
        and the token comes from the environment.
    type: str
  token_file:
    description:
      - A file on the controller that holds the API token.
      - If not set, the environment variable E(BBS_TOKEN_FILE) is used.
    type: path
  validate_certs:
    description:
      - Whether the server has to prove who it is. V(false) lets anyone between controller and server read
        the token.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates of the authorities to trust, instead of the system's.
    type: path
  client_cert:
    description:
      - A file with the certificate that the controller shows to the server, for servers that ask for one.
        It may hold the private key as well.
    type: path
  client_key:
    description:
      - A file with the private key of O(client_cert).
    type: path
  timeout:
    description:
      - How long to wait for an answer, in seconds.
    type: int
    default: 30
  retries:
    description:
      - How often to repeat a request after a failure that may pass.
    type: int
    default: 3
"""


class ModuleDocFragment:
    # Annotated, since the yamllint of ansible-test reads what is merely assigned, and knows only literals.
    DOCUMENTATION: str = (
        r"""
requirements:
  - The Python library requests on the controller, or on the host that a task is delegated to
notes:
  - Tasks run in the controller's worker process. They need no connection to the target host, so there is no
    reason to write C(delegate_to=localhost). A task that is delegated to another host runs there as an
    ordinary module.
  - Requests that fail because the server is unreachable, busy or throttling are repeated with growing
    pauses; a creation only after looking whether it has happened already.
"""
        + _OPTIONS
    )

    # For plugins that are no tasks.
    PLUGIN: str = (
        r"""
requirements:
  - The Python library requests on the controller
"""
        + _OPTIONS
    )
