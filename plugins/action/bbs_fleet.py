# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs bbs_fleet in the controller's worker."""

from __future__ import annotations

from ansible_collections.borgfleet.bbs.plugins.module_utils.fleet import MODULE
from ansible_collections.borgfleet.bbs.plugins.plugin_utils.worker import WorkerAction


class ActionModule(WorkerAction):
    module = MODULE
