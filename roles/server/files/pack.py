# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the server's source: the same files make the same archive, so that its digest tells versions apart.

Runs on the controller: pack.py SOURCE FOLDER. Prints a line of JSON with the digest and the archive's path.
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

LEFT_OUT = {"__pycache__", "build", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
DIGITS = 12


def wanted(path: Path, source: Path) -> bool:
    parts = path.relative_to(source).parts
    return path.is_file() and not LEFT_OUT.intersection(parts) and not any(p.endswith(".egg-info") for p in parts)


def pack(source: Path) -> bytes:
    """The files as a tar without times, owners and modes of this machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in source.rglob("*") if wanted(path, source)):
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"bbs-server/{path.relative_to(source).as_posix()}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def main() -> None:
    source, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    if not (source / "pyproject.toml").is_file():
        sys.exit(f"There is no server in {source}: it has no pyproject.toml.")
    content = pack(source)
    digest = hashlib.sha256(content).hexdigest()[:DIGITS]
    archive = folder / f"bbs-server-{digest}.tar.gz"
    archive.write_bytes(gzip.compress(content, 6, mtime=0))
    print(json.dumps({"digest": digest, "archive": str(archive)}))


if __name__ == "__main__":
    main()
