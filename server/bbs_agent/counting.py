# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting files before a backup, so that progress has a total."""

import os
from typing import Callable, Iterable, List

LOOK_EVERY = 1000


def count_files(directories: Iterable[str], still_wanted: Callable[[], None]) -> int:
    """How many regular files lie below `directories`; what cannot be read is not counted.

    `still_wanted` is called now and then and may raise to end the walk. Excludes are not applied:
    this is an estimate, borg's own count replaces it.
    """
    total = 0
    visited = 0
    waiting: List[str] = [os.fspath(directory) for directory in directories]
    while waiting:
        place = waiting.pop()
        visited += 1
        if visited % LOOK_EVERY == 0:
            still_wanted()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.is_file(follow_symlinks=False)
        except NotADirectoryError:
            total += 1
        except OSError:
            continue
    return total
