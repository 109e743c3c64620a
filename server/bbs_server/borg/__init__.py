# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that runs borg or ssh: commands, the gate, key provisioning, the private sshd."""
