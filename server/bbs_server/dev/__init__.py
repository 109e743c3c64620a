# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server dev``: a real server for a moment, with simulated agents, for those who test what talks to a BBS."""
