# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker does itself on repositories: one function per task type (agent-protocol.md §12)."""
