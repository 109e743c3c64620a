# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``bbs-server backup`` and ``restore``: what the server itself must not lose, in one file.

That is the database, the keys that open its secrets, the settings, and the SSH keys. Repositories are not in it. The
file opens every repository of every client: it is readable for its owner only, and belongs in a safe place.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bbs_server import __version__, durable, temporary
from bbs_server.borg import sshd
from bbs_server.own_backup.database import BackupError, Saved, put_file, saved_database
from bbs_server.settings import Settings

FORMAT = 1

PREFIX = "bbs-server-"
SUFFIX = ".tar.gz"

MANIFEST = "manifest.json"
SETTINGS = "bbs-server.toml"
KEYS = "secret.keys"
SSH = "ssh"
HOST_KEYS = "host-keys"

SYSTEM_HOST_KEYS = Path("/etc/ssh")

_DRAFT, _UNPACKED = ".bbs-server-", ".restore-"
"""Beginnings of the names of temporary folders, in the backups' folder and in the server's directory."""

_ATTEMPTS = 5

_DERIVED = {"authorized_keys", "authorized_keys.lock", "locations", "sshd_config"}
"""What ``bbs-server init`` and ``run`` write anew from the database and the settings."""


@dataclass(frozen=True)
class Made:
    """A backup that was made."""

    file: Path
    removed: tuple[Path, ...]
    """Older ones that were removed."""
    left_out: tuple[Path, ...]
    """Host keys of the system's sshd that this account may not read."""


def make(settings: Settings, settings_file: Path, folder: Path, now: datetime, *, keep: int = 0) -> Made:
    """Write a backup, consistent also while the server runs.

    :param folder: where it goes, as ``bbs-server-<UTC time>.tar.gz``, readable for its owner only.
    :param keep: so many of the newest stay there; 0 keeps all.
    :raises BackupError: nothing to back up, or an unusable database.
    :raises OSError: no space, no permission.
    """
    if not settings.key_file.exists():
        raise BackupError(f"There is no server in {settings.directory} yet.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{PREFIX}{now:%Y%m%dT%H%M%SZ}{SUFFIX}"
    host_keys, left_out = _system_host_keys(settings)
    database = saved_database(settings)
    temporary.sweep(folder, _DRAFT)
    with temporary.folder(folder, _DRAFT) as draft:
        _copy_secrets(settings, database, draft)
        with tarfile.open(draft / "backup", "w:gz", compresslevel=6) as archive:
            _add_text(archive, MANIFEST, json.dumps(_manifest(settings, now), indent=2))
            archive.add(draft / database.member, database.member)
            archive.add(settings_file, SETTINGS)
            archive.add(draft / KEYS, KEYS)
            for file in _ssh_files(settings):
                archive.add(file, f"{SSH}/{file.relative_to(settings.ssh_directory)}")
            for file in host_keys:
                archive.add(file, f"{HOST_KEYS}/{file.name}")
        (draft / "backup").chmod(0o600)
        durable.replace(draft / "backup", target)
    return Made(target, tuple(_remove_older(folder, keep)), tuple(left_out))


def restore(file: Path, settings_file: Path, *, replace: bool = False, host_keys: bool = False) -> list[Path]:
    """Put a backup back. The server must not run; ``bbs-server init`` comes after it.

    :param settings_file: written from the backup when it is missing; otherwise it stays, and decides where things go.
    :param replace: put the backup in the place of a server that is there.
    :param host_keys: also put back the host keys of the system's sshd; needs root, and sshd a restart.
    :return: what was written.
    :raises BackupError: not a backup, of a newer format, or a server is there and ``replace`` is false.
    """
    with _opened(file) as archive:
        manifest = _read_manifest(archive, file)
        wrote = []
        if not settings_file.exists():
            wrote.append(_restore_settings(archive, manifest, settings_file))
        settings = Settings.load(settings_file)
        database = saved_database(settings)
        if database.member not in archive.getnames():
            raise BackupError(f"{file} has no {database.member}: it is of a server on another kind of database.")
        present = f"{settings.key_file} exists" if settings.key_file.exists() else database.existing()
        if present and not replace:
            raise BackupError(f"There is a server already: {present}; --replace puts the backup in its place.")
        settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.sweep(settings.directory, _UNPACKED)
        with temporary.folder(settings.directory, _UNPACKED) as draft:
            _unpack(archive, draft)
            database.check(draft / database.member)
            wrote += _put_ssh(draft, settings)
            if host_keys:
                wrote += [
                    put_file(item, SYSTEM_HOST_KEYS / item.name) for item in sorted((draft / HOST_KEYS).glob("*"))
                ]
            wrote += database.put(draft / database.member)
            wrote.append(put_file(draft / KEYS, settings.key_file))
    _own(wrote, settings)
    return wrote


def check_no_worker(settings: Settings, now: datetime) -> None:
    """Make sure that no worker uses the database that is to be replaced.

    :raises BackupError: one holds a lease. One that was killed holds it until the lease ends.
    """
    holder = saved_database(settings).worker(now)
    if holder:
        raise BackupError(
            f"The worker {holder} runs: stop it first. If it was killed, wait {settings.lease_seconds} seconds."
        )


def _manifest(settings: Settings, now: datetime) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": __version__,
        "created_at": f"{now:%Y-%m-%d %H:%M:%S}",
        "directory": str(settings.directory),
    }


def _read_manifest(archive: tarfile.TarFile, file: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(_read(archive, MANIFEST))
        found = manifest["format"]
    except (KeyError, ValueError) as error:
        raise BackupError(f"{file} is not a backup of a Borg Backup Server.") from error
    if found != FORMAT:
        raise BackupError(f"{file} has the format {found}, this version reads the format {FORMAT}.")
    return manifest


def _restore_settings(archive: tarfile.TarFile, manifest: dict[str, Any], settings_file: Path) -> Path:
    settings_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = _read(archive, SETTINGS).decode()
    with os.fdopen(os.open(settings_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    if Settings.load(settings_file).directory != Path(manifest["directory"]):
        settings_file.unlink()
        raise BackupError(
            f"The settings in the backup belong beside their data, in {manifest['directory']}: name the file there."
        )
    return settings_file


def _copy_secrets(settings: Settings, database: Saved, draft: Path) -> None:
    """The database and the keys that open it, also when they are rotated at this moment."""
    for _attempt in range(_ATTEMPTS):
        keys = settings.key_file.read_bytes()
        database.copy(draft / database.member)
        if settings.key_file.read_bytes() == keys:
            (draft / KEYS).touch(mode=0o600)
            (draft / KEYS).write_bytes(keys)
            return
    raise BackupError("The server's keys are being rotated: try again when that is done.")


def _ssh_files(settings: Settings) -> list[Path]:
    files = (path for path in settings.ssh_directory.rglob("*") if path.is_file())
    return sorted(path for path in files if path.name not in _DERIVED)


def _system_host_keys(settings: Settings) -> tuple[list[Path], list[Path]]:
    """Files of the system's sshd that agents know this machine by: those that can be read, and the others."""
    if settings.private_sshd:
        return [], []
    public = [Path(name) for name in settings.ssh_host_key_files] or sorted(SYSTEM_HOST_KEYS.glob("ssh_host_*_key.pub"))
    files = [file for item in public for file in (item.with_suffix(""), item) if file.exists()]
    return [file for file in files if os.access(file, os.R_OK)], [
        file for file in files if not os.access(file, os.R_OK)
    ]


def _put_ssh(draft: Path, settings: Settings) -> list[Path]:
    """The clients' and remote hosts' files, and the private sshd's own host key."""
    return [
        put_file(item, settings.ssh_directory / item.relative_to(draft / SSH))
        for item in sorted((draft / SSH).rglob("*"))
        if item.is_file() and (settings.private_sshd or not item.name.startswith(sshd.HOST_KEY))
    ]


def _own(files: list[Path], settings: Settings) -> None:
    """Files that root put into the server's directory belong to the server's account."""
    if os.geteuid() != 0:
        return
    owner = settings.directory.stat()
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(settings.directory)}
    for path in {*files, *folders}:
        if path.is_relative_to(settings.directory):
            os.chown(path, owner.st_uid, owner.st_gid)


def _remove_older(folder: Path, keep: int) -> Iterator[Path]:
    if keep:
        for file in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))[:-keep]:
            file.unlink()
            yield file


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream.read()


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Write the files into a folder, and nothing beside it.

    ``extractall`` would need its filter for that, which Python has since 3.11.4 only, and Debian 12 has 3.11.2.
    """
    for entry in archive:
        content = archive.extractfile(entry) if entry.isfile() else None
        target = folder / entry.name
        if content is None or ".." in target.parts or not target.is_relative_to(folder):
            raise BackupError(f"{archive.name!s} holds {entry.name!r}, which is in no backup of a Borg Backup Server.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            shutil.copyfileobj(content, stream)


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    if not tarfile.is_tarfile(file):
        raise BackupError(f"{file} is not a backup of a Borg Backup Server.")
    with tarfile.open(file, "r:gz") as archive:
        yield archive
