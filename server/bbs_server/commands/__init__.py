# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of ``bbs-server``, and ``bbs-token``: a file for each group of them."""
