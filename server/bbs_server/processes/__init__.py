# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's processes: the web server, the supervisor, and how they start, share memory and end."""
