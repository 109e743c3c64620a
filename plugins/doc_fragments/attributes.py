# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules can do, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Tells what changes or would change. A secret shows only as set or as changed.
    support: full
  action_group:
    description: Use C(group/borgfleet.bbs.bbs) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - borgfleet.bbs.bbs
"""

    # For modules that only read.
    READ_ONLY = r"""
attributes:
  check_mode:
    description: Can run in check mode; it changes nothing anyway.
    support: full
  diff_mode:
    description: Tells what changes.
    support: N/A
    details: This module changes nothing.
  action_group:
    description: Use C(group/borgfleet.bbs.bbs) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - borgfleet.bbs.bbs
"""
