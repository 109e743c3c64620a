# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of encrypted repositories, which lie in them, locked with the passphrase.

Append-only access does not protect them: whoever holds a client's SSH key and its passphrase can lock the key with
another passphrase, or replace it by nonsense that makes borg's file of settings, which it is in, unreadable. What is
encrypted with it never changes, so the first one is right for ever.
"""

from __future__ import annotations

import shutil
from configparser import Error, RawConfigParser
from pathlib import Path

from bbs_server import durable
from bbs_server.models import Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, storage


def note(run: Runtime, repository: Repository) -> None:
    """Record the settings of a local repository when its key is seen for the first time."""
    file = _file(repository)
    if repository.sealed_config is not None or not file.is_file():
        return
    text = _read(file)
    if _key(text):
        with run.writing():
            sealed = run.keyring.seal(text, table="repositories", column="config", row=repository.id)
            Repository.update(sealed_config=sealed).where(Repository.id == repository.id).execute()


def is_replaced(run: Runtime, repository: Repository) -> bool:
    """Whether the repository has another key than was recorded.

    :raises SecretError: what was recorded does not decrypt.
    """
    file = _file(repository)
    if repository.sealed_config is None or not file.is_file():
        return False
    return _key(_read(file)) != _key(_recorded(run, repository))


def put_back(run: Runtime, repository: Repository) -> str:
    """Put the recorded settings, and so the key, into the repository; what was there stays beside it.

    :return: what was done, in a sentence.
    """
    file = _file(repository)
    aside, draft = file.with_name(f"config.{run.clock():%Y%m%dT%H%M%SZ}"), file.with_name("config.draft")
    shutil.copy2(file, aside)
    draft.write_text(_recorded(run, repository), encoding="utf-8")
    draft.chmod(file.stat().st_mode & 0o777)
    durable.replace(draft, file)
    sentence = f"{file} has the key again that belongs to the passphrase on record; what it held is in {aside}."
    audit.record(run, "server.repair", sentence, client=repository.client, level="warning")
    return sentence


def _file(repository: Repository) -> Path:
    return storage.repository_directory(repository) / "config"


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _key(text: str) -> str:
    """The key in borg's settings; empty when there is none, or they cannot be read."""
    settings = RawConfigParser()
    try:
        settings.read_string(text)
    except Error:
        return ""
    return settings.get("repository", "key", fallback="")


def _recorded(run: Runtime, repository: Repository) -> str:
    return run.keyring.open(repository.sealed_config, table="repositories", column="config", row=repository.id)
