# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``borgfleet.bbs.slug``; documented in ``slug.yml``."""

from __future__ import annotations

from typing import Callable

from ansible_collections.borgfleet.bbs.plugins.module_utils._field import slug


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"slug": slug}
