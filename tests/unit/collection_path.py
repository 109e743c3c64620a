# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the checkout importable as ``ansible_collections.borgfleet.bbs``, wherever it was cloned to."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections.borgfleet.bbs"


def provide() -> None:
    """Link the checkout into a temporary collections path, unless the collection is found already."""
    if _found():
        return
    root = Path(tempfile.mkdtemp(prefix="bbs-collections-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    parent = root / "ansible_collections" / "borgfleet"
    parent.mkdir(parents=True)
    (parent / "bbs").symlink_to(CHECKOUT, target_is_directory=True)
    sys.path.insert(0, str(root))
    # For the ansible-playbook processes that tests start.
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(root)


def _found() -> bool:
    try:
        return importlib.util.find_spec(f"{COLLECTION}.plugins.module_utils") is not None
    except ModuleNotFoundError:
        return False
