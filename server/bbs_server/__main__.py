# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m bbs_server``: the same as ``bbs-server``."""

from __future__ import annotations

from bbs_server.cli import main

main()
