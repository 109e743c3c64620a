# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data that borg is busy with for a while when its upload is throttled."""

import os

FILE_SIZE = 50_000


def fill(folder, size):
    """Make a folder of files with random content, about `size` bytes in all.

    Each file is a chunk of its own, so borg's progress moves evenly. In one large file, chunks are up to
    8 MB as chance has it, and nothing is told before the first one is through.
    """
    folder.mkdir()
    for number in range(size // FILE_SIZE):
        (folder / str(number)).write_bytes(os.urandom(FILE_SIZE))
