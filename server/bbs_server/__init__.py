# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Borg Backup Server: clients, repositories, plans and jobs behind a REST API."""

__version__ = "0.1.0"
