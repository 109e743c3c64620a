# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`list_dir`: a directory tree for choosing what to back up (agent-protocol.md §7.2)."""

import json
import os
import stat
from typing import Any, Callable, Dict, List, Optional

from ..host import Host
from ..job import Job, TaskError
from .outcome import COMPLETED, Result

DEEPEST = 5
FEWEST_ENTRIES, MOST_ENTRIES = 50, 20000
# Kernel file systems hold nothing worth a backup; `show_all` lists them too.
KERNEL = ("/proc", "/sys", "/dev", "/run")


def list_dir(job: Job, _host: Host) -> Result:
    """The tree under `path` as JSON text in `output_log`."""
    task = job.task
    path = str(task.get("path") or "/")
    if not os.path.isabs(path):
        raise TaskError("The path {!r} is not absolute.".format(path))
    if not os.path.isdir(path):
        raise TaskError("There is no directory {}.".format(path))
    tree = _Lister(task, job.token.check)
    answer: Dict[str, Any] = {
        "path": path,
        "entries": tree.entries(path, _number(task, "depth", 1, 1, DEEPEST)),
    }
    answer["truncated"] = tree.truncated
    return Result({"job_id": job.id, "result": COMPLETED, "output_log": json.dumps(answer)})


class _Lister:
    """Walks with a budget of entries, directories first, by name."""

    def __init__(self, task: Dict[str, Any], still_wanted: Callable[[], None]) -> None:
        self._hidden = bool(task.get("show_hidden"))
        self._all = bool(task.get("show_all"))
        self._follow = bool(task.get("follow_symlinks"))
        self._left = _number(task, "max_entries", 5000, FEWEST_ENTRIES, MOST_ENTRIES)
        self._still_wanted = still_wanted
        self.truncated = False

    def entries(self, path: str, depth: int) -> List[Dict[str, Any]]:
        self._still_wanted()
        try:
            with os.scandir(path) as found:
                items = [item for item in found if self._wanted(item)]
        except OSError:
            return []
        items.sort(key=lambda item: (not item.is_dir(follow_symlinks=self._follow), item.name))
        if len(items) > self._left:
            self.truncated = True
            del items[self._left :]
        self._left -= len(items)
        result = []
        for item in items:
            entry = _entry(item, self._follow)
            if depth > 1 and entry["type"] == "dir":
                entry["entries"] = self.entries(item.path, depth - 1)
            result.append(entry)
        return result

    def _wanted(self, item: "os.DirEntry[str]") -> bool:
        if item.name.startswith(".") and not self._hidden:
            return False
        return self._all or item.path not in KERNEL


def _entry(item: "os.DirEntry[str]", follow: bool) -> Dict[str, Any]:
    found = _stat(item, follow) or _stat(item, False)
    kind = "other"
    if found is not None:
        for name, test in (("dir", stat.S_ISDIR), ("file", stat.S_ISREG), ("link", stat.S_ISLNK)):
            if test(found.st_mode):
                kind = name
    return {
        "name": item.name.encode("utf-8", "replace").decode("utf-8"),
        "path": item.path.encode("utf-8", "replace").decode("utf-8"),
        "type": kind,
        "size": found.st_size if found is not None and kind == "file" else 0,
        "mtime": int(found.st_mtime) if found is not None else None,
    }


def _stat(item: "os.DirEntry[str]", follow: bool) -> Optional[os.stat_result]:
    try:
        return item.stat(follow_symlinks=follow)
    except OSError:
        return None


def _number(task: Dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = task.get(name)
    return max(least, min(most, value if isinstance(value, int) else default))
