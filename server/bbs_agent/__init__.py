# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent of a backup client: polls a Borg Backup Server and runs what it asks for.

Standard library only, Python 3.6 to 3.13, shipped as one zipapp (`bbs-agent.pyz`).
"""

VERSION = "0.1.0"
