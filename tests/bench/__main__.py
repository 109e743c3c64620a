# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what the project promises about speed: ``python tests/bench [row …]``.

A file in ``rows/`` has a ``ROW`` and a function ``measure(lab)`` that returns its value and details, or
``ROWS`` and one that returns a list of those. ``--help`` tells the rest.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from lab import Lab
from publish import publish
from report import Failed, Measured, table

HERE = Path(__file__).parent


def names() -> list[str]:
    """The rows that there are."""
    return sorted(path.stem for path in (HERE / "rows").glob("*.py"))


def measured(name: str, seconds: float, mebibytes: int) -> list[Measured | Failed]:
    """Run one file in a laboratory of its own; one that fails does not take the others with it."""
    print(f"measuring {name} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        found = _rows(name, seconds, mebibytes)
    except Exception as error:
        traceback.print_exc()
        return [Failed(name, next(iter(str(error).splitlines()), type(error).__name__))]
    print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return found


def _rows(name: str, seconds: float, mebibytes: int) -> list[Measured | Failed]:
    spec = importlib.util.spec_from_file_location(name, HERE / "rows" / f"{name}.py")
    assert spec and spec.loader
    row = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(row)
    with tempfile.TemporaryDirectory(prefix="bbs-bench-") as folder, Lab(Path(folder), seconds, mebibytes) as lab:
        found = row.measure(lab)
    if hasattr(row, "ROW"):
        return [Measured(name, row.ROW, *found)]
    return [Measured(name, one, *values) for one, values in zip(row.ROWS, found, strict=True)]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench",
        description="Measure the rows named, or all of them, and print one table.",
        epilog="The exit code is 1 when a row misses its goal or fails. Numbers depend on the machine and on what else"
        " it does.",
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"one of: {', '.join(names())}")
    parser.add_argument("--list", action="store_true", help="print the rows, measure nothing")
    parser.add_argument(
        "--seconds", type=float, default=10, help="of load for each rate, after a warm-up (default: 10)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results there, with the machine")
    parser.add_argument(
        "--mebibytes", metavar="N", type=int, default=2048, help="how much data backups are of (default: 2048)"
    )
    parser.add_argument(
        "--publish", action="store_true", help="write the table and the picture of a whole run into docs/"
    )
    options = parser.parse_args()
    if options.publish and options.rows:
        parser.error("--publish takes a whole run: name no row")
    unknown = sorted(set(options.rows) - set(names()))
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(names())}")
    return options


def main() -> int:
    options = parsed()
    if options.list:
        print("\n".join(names()))
        return 0
    # Ended in the middle, a row still ends its servers and removes its folders.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    began = time.monotonic()
    found = [one for name in options.rows or names() for one in measured(name, options.seconds, options.mebibytes)]
    seconds = time.monotonic() - began
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    print(table(found))
    if options.json:
        content = {"machine": machine, "seconds": seconds, "rows": [one.as_json() for one in found]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    if options.publish:
        publish(found, machine, seconds)
    return 0 if all(one.met for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
