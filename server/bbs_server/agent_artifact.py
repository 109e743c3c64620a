# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as one file: a zip of its package that Python runs, built the same way every time; its installer."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

ARTIFACT = "bbs-agent.pyz"
INSTALLER = "install.sh"

_INSTALLER_PARTS = (
    "start",
    "arguments",
    "requirements",
    "download",
    "files",
    "service",
    "systemd",
    "openrc",
    "sysv",
    "uninstall",
    "main",
)

_MAIN = "from bbs_agent.__main__ import main\n\nmain()\n"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


@lru_cache(maxsize=1)
def files() -> dict[str, bytes]:
    """What agents may download, by name."""
    package = resources.files("bbs_agent")
    artifact = _build(package)
    digest = hashlib.sha256(artifact).hexdigest()
    return {
        INSTALLER: installer(),
        ARTIFACT: artifact,
        f"{ARTIFACT}.sha256": f"{digest}  {ARTIFACT}\n".encode(),
    }


def installer() -> bytes:
    """The installer's parts as one script."""
    folder = resources.files("bbs_agent").joinpath("installer")
    return b"\n".join(folder.joinpath(f"{part}.bash").read_bytes() for part in _INSTALLER_PARTS)


def _build(package: Traversable) -> bytes:
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        _add_folder(archive, package, "bbs_agent")
    return buffer.getvalue()


def _add_folder(archive: zipfile.ZipFile, folder: Traversable, name: str) -> None:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir() and entry.name != "__pycache__":
            _add_folder(archive, entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            _add(archive, f"{name}/{entry.name}", entry.read_bytes())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A fixed time makes the digest depend on the content alone.
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
