# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the site's builder knows of the pages, importable for the tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "site"))

from pages import CONTENTS, ROOT, Link, anchors, links, pages, with_links

__all__ = ["CONTENTS", "ROOT", "Link", "anchors", "links", "pages", "with_links"]
