# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of encrypted repositories, which lie in them, locked with the passphrase.

Append-only access does not protect them: whoever holds a client's SSH key and its passphrase can lock the key with
another passphrase, or replace it by nonsense. What is encrypted with it never changes, so the first one is right for
ever.
"""

from __future__ import annotations

import shutil
from configparser import RawConfigParser
from pathlib import Path

from bbs_server import durable
from bbs_server.models import Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, storage

_PLACE = ("repository", "key")


def note(run: Runtime, repository: Repository) -> None:
    """Record the key of a local repository when it is seen for the first time."""
    key = _read(_file(repository)).get(*_PLACE, fallback="")
    if key and repository.sealed_key is None:
        with run.writing():
            sealed = run.keyring.seal(key, table="repositories", column="key", row=repository.id)
            Repository.update(sealed_key=sealed).where(Repository.id == repository.id).execute()


def is_replaced(run: Runtime, repository: Repository) -> bool:
    """Whether the repository has another key than was recorded.

    :raises SecretError: what was recorded does not decrypt.
    """
    file = _file(repository)
    if repository.sealed_key is None or not file.is_file():
        return False
    return _read(file).get(*_PLACE, fallback="") != _recorded(run, repository)


def put_back(run: Runtime, repository: Repository) -> str:
    """Put the recorded key into the repository; what was there stays beside it.

    :return: what was done, in a sentence.
    """
    file = _file(repository)
    aside, draft = file.with_name(f"config.{run.clock():%Y%m%dT%H%M%SZ}"), file.with_name("config.draft")
    shutil.copy2(file, aside)
    config = _read(file)
    config.set(*_PLACE, _recorded(run, repository))
    with draft.open("w", encoding="utf-8") as stream:
        config.write(stream)
    draft.chmod(file.stat().st_mode & 0o777)
    durable.replace(draft, file)
    sentence = f"{file} has the key again that belongs to the passphrase on record; what it held is in {aside}."
    audit.record(run, "server.repair", sentence, client=repository.client, level="warning")
    return sentence


def _file(repository: Repository) -> Path:
    return storage.repository_directory(repository) / "config"


def _read(file: Path) -> RawConfigParser:
    config = RawConfigParser()
    config.read(file, encoding="utf-8")
    return config


def _recorded(run: Runtime, repository: Repository) -> str:
    return run.keyring.open(repository.sealed_key, table="repositories", column="key", row=repository.id)
