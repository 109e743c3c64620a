# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Third parties' SSH servers that hold repositories (admin-api.md §5.8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import fn

from bbs_server import temporary
from bbs_server.borg.command import CONNECTION_CLOSED, BorgError
from bbs_server.borg.ssh import Ssh, SshError, checked_private_key, connecting
from bbs_server.clock import wire
from bbs_server.errors import Conflict, NotFound, Unprocessable
from bbs_server.models import NAME_LENGTH, RemoteSshConfig, Repository
from bbs_server.runtime import Runtime
from bbs_server.services import audit, names
from bbs_server.services.undo import undoing

PROVIDERS = ("borgbase", "hetzner", "rsync.net")
REQUIRED = ("name", "remote_host", "remote_user", "ssh_private_key")
DEFAULT_PORT = 22
DEFAULT_BASE_PATH = "./"

_BORGBASE_SUFFIX = ".repo.borgbase.com"
_BLOCK_BYTES = 1024


def find(config_id: int) -> RemoteSshConfig:
    """One configuration.

    :raises NotFound: unknown.
    """
    found: RemoteSshConfig | None = RemoteSshConfig.get_or_none(RemoteSshConfig.id == config_id)
    if found is None:
        raise NotFound("Remote SSH config not found.")
    return found


def listed() -> list[dict[str, Any]]:
    """All configurations by name."""
    counts: Any = (
        Repository.select(Repository.remote_ssh_config, fn.COUNT(Repository.id))
        .where(Repository.remote_ssh_config.is_null(False))
        .group_by(Repository.remote_ssh_config)
        .tuples()
    )
    used: dict[int, int] = dict(counts)
    rows = RemoteSshConfig.select().order_by(names.alphabetically(RemoteSshConfig.name), RemoteSshConfig.id)
    return [_summary(row, used.get(row.id, 0)) for row in rows]


def shown(config: RemoteSshConfig) -> dict[str, Any]:
    """One configuration; of the private key only whether there is one."""
    return _summary(config, config.repositories.count())


def create(run: Runtime, values: Mapping[str, Any]) -> RemoteSshConfig:
    """Store a configuration.

    :raises Unprocessable: a field is missing or wrong.
    :raises Conflict: the name is taken.
    """
    private_key, columns = _complete(values)
    with run.writing():
        _refuse_taken(columns["name"])
        config: RemoteSshConfig = RemoteSshConfig.create(created_at=run.clock(), **columns)
        _seal(run, config, private_key)
        config.save(only=[RemoteSshConfig.sealed_private_key])
        audit.record(run, "remote_ssh_config.create", f'Remote SSH config "{config.name}" created.')
    return config


def update(run: Runtime, config: RemoteSshConfig, values: Mapping[str, Any]) -> RemoteSshConfig:
    """Change the fields that are named; a private key that is not given stays.

    The place of existing repositories does not change: their data would not follow.

    :raises Unprocessable: nothing to change, or a wrong value.
    :raises Conflict: the name is taken, or repositories lie at the place that would change.
    """
    given = {name: value for name, value in values.items() if name != "ssh_private_key" or value}
    if not given:
        raise Unprocessable("No fields to update.")
    columns = _checked(given)
    private_key = columns.pop("ssh_private_key", None)
    moving = [
        name
        for name in ("remote_host", "remote_port", "remote_user", "remote_base_path", "append_repo_name")
        if name in columns and columns[name] != getattr(config, name)
    ]
    if moving and (used := _repository_names(config)):
        raise Conflict(
            f"{moving[0]}: cannot change while repositories lie there.",
            reason="repositories_attached",
            repositories=used,
        )
    with run.writing():
        if columns.get("name", config.name) != config.name:
            _refuse_taken(columns["name"])
        for name, value in columns.items():
            setattr(config, name, value)
        config.provider = _provider(config.provider, config.remote_host)
        if private_key:
            _seal(run, config, private_key)
        config.save()
        audit.record(run, "remote_ssh_config.update", f'Remote SSH config "{config.name}" updated.')
    return config


def delete(run: Runtime, config: RemoteSshConfig) -> None:
    """Remove a configuration that no repository uses.

    :raises Conflict: repositories use it.
    """
    known = known_hosts(run, config)
    with undoing(run) as undo, run.writing():
        used = _repository_names(config)
        if used:
            raise Conflict(
                f"The configuration is used by {len(used)} repositories: delete them first.",
                reason="repositories_attached",
                repositories=used,
            )
        config.delete_instance()
        audit.record(run, "remote_ssh_config.delete", f'Remote SSH config "{config.name}" deleted.')
        if known.exists():
            # Without it the next connection would trust whatever key the host shows.
            undo.by(known.write_bytes, known.read_bytes())
            run.act(known.unlink)


def test_unsaved(run: Runtime, values: Mapping[str, Any]) -> dict[str, Any]:
    """Log in with values that are not stored; whatever key the host shows is taken, and forgotten again.

    A rehearsal (``dry_run``) contacts nobody.

    :raises Unprocessable: a field is missing or wrong.
    """
    private_key, columns = _complete({"name": "test", **values})
    if run.rehearsing:
        return {"status": "ok"}
    config = RemoteSshConfig(**columns)
    try:
        with (
            temporary.folder(run.settings.temporary_directory) as folder,
            _connecting(run, config, private_key, folder / "known_hosts") as ssh,
        ):
            return {"status": "ok", "version": _borg_version(ssh, config)}
    except SshError as error:
        return {"status": "error", "error": str(error)}


def test(run: Runtime, config: RemoteSshConfig, *, forget_host_key: bool) -> dict[str, Any]:
    """Log in, and look how much room there is. A rehearsal (``dry_run``) contacts nobody.

    :param forget_host_key: take the key that the host shows now, whatever it showed before.
    """
    if run.rehearsing:
        return {"status": "ok"}
    if forget_host_key:
        known_hosts(run, config).unlink(missing_ok=True)
        audit.record(run, "remote_ssh_config.forget_host_key", f'Host key of "{config.name}" forgotten.')
    before = config.disk_total_bytes, config.disk_used_bytes, config.disk_free_bytes
    try:
        with connection(run, config) as ssh:
            version = _borg_version(ssh, config)
            _note_disk(config, ssh)
            result: dict[str, Any] = {"status": "ok", "version": version}
    except SshError as error:
        config.disk_check_error = str(error)
        result = {"status": "error", "error": str(error)}
    config.disk_checked_at = run.clock()
    config.save(only=[getattr(RemoteSshConfig, name) for name in _DISK])
    after = config.disk_total_bytes, config.disk_used_bytes, config.disk_free_bytes
    return {**result, "quota_changed": before != after}


@contextmanager
def connection(run: Runtime, config: RemoteSshConfig) -> Iterator[Ssh]:
    """An ssh client for the configured account, usable inside the ``with`` block.

    :raises SshError: also when borg, used inside the block, failed because ssh did.
    """
    with _connecting(run, config, private_key(run, config), known_hosts(run, config)) as ssh:
        try:
            yield ssh
        except BorgError as error:
            # Borg does not always pass on what ssh said last, so ssh is asked again.
            if CONNECTION_CLOSED in str(error):
                _borg_version(ssh, config)
            raise


def private_key(run: Runtime, config: RemoteSshConfig) -> str:
    """The private key in clear."""
    return run.keyring.open(config.sealed_private_key, table="remote_ssh_configs", column="private_key", row=config.id)


def known_hosts(run: Runtime, config: RemoteSshConfig) -> Path:
    """Where the host's key is remembered."""
    return run.settings.ssh_directory / "known_hosts" / str(config.id)


def borg_options(config: RemoteSshConfig) -> tuple[str, ...]:
    """What borg must be told besides the URL."""
    return (f"--remote-path={config.borg_remote_path}",) if config.borg_remote_path else ()


def repository_url(config: RemoteSshConfig, slug: str) -> str:
    """Where a repository of this name lies (admin-api.md §5.2)."""
    host = f"[{config.remote_host}]" if ":" in config.remote_host else config.remote_host
    port = "" if config.remote_port == DEFAULT_PORT else f":{config.remote_port}"
    base = _base(config.remote_base_path)
    path = f"{base}/{slug}" if config.append_repo_name else base
    return f"ssh://{config.remote_user}@{host}{port}{path}"


def _base(path: str) -> str:
    # In borg's URLs /path is absolute, /./path relative to the home directory and /~ another's home.
    trimmed = path.rstrip("/")
    if path.startswith("/"):
        return trimmed
    return f"/{trimmed}" if trimmed.split("/")[0] in (".", "~") else f"/./{trimmed}"


@contextmanager
def _connecting(run: Runtime, config: RemoteSshConfig, key: str, known: Path) -> Iterator[Ssh]:
    with connecting(
        user=config.remote_user,
        host=config.remote_host,
        port=config.remote_port,
        private_key=key,
        known_hosts=known,
        directory=run.settings.temporary_directory,
    ) as ssh:
        yield ssh


def _borg_version(ssh: Ssh, config: RemoteSshConfig) -> str | None:
    """The version of borg on the host; None when the account only runs ``borg serve``, as at BorgBase.

    :raises SshError: no borg there.
    """
    program = config.borg_remote_path or "borg"
    done = ssh.run(f"{shlex.quote(program)} --version")
    found = re.search(r"\bborg\S* (\d\S*)", done.stdout)
    if found:
        return found[1]
    if done.returncode in (126, 127):
        raise SshError(f"The login works, but there is no {program} on {config.remote_host}: set borg_remote_path.")
    return None


def _note_disk(config: RemoteSshConfig, ssh: Ssh) -> None:
    """Take note of the room at the base path, as far as the account may run ``df``."""
    path = config.remote_base_path
    # A "~" must reach the shell unquoted to mean a home directory.
    quoted = "~/" + shlex.quote(path[2:] or ".") if path.startswith("~/") else shlex.quote(path)
    done = ssh.run(f"df -Pk {quoted}")
    fields = done.stdout.strip().splitlines()[-1].split() if done.stdout.strip() else []
    if done.returncode == 0 and len(fields) >= 6 and all(field.isdigit() for field in fields[1:4]):
        total, used, free = (int(field) * _BLOCK_BYTES for field in fields[1:4])
        config.disk_total_bytes, config.disk_used_bytes, config.disk_free_bytes = total, used, free
        config.disk_check_error = None
    else:
        config.disk_check_error = "The host does not tell how much room there is."


def _complete(values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    missing = [name for name in REQUIRED if not str(values.get(name) or "").strip()]
    if missing:
        raise Unprocessable(f"{missing[0]}: is required and must not be empty.")
    columns = _checked(values)
    key = columns.pop("ssh_private_key")
    columns["provider"] = _provider(columns.get("provider"), columns["remote_host"])
    return key, columns


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(values)
    for name, check in _CHECKS.items():
        if name in checked:
            checked[name] = check(name, checked[name])
    return checked


def _checked_name(field: str, value: str) -> str:
    if not value.strip():
        raise Unprocessable(f"{field}: must not be empty.")
    return names.checked(value, field)


def _checked_host(field: str, value: str) -> str:
    # A leading dash would reach ssh as an option.
    host = value.strip()
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", host):
        raise Unprocessable(f"{field}: must be a host name or an address.")
    return host


def _checked_user(field: str, value: str) -> str:
    user = value.strip()
    if len(user) > NAME_LENGTH or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", user):
        raise Unprocessable(f"{field}: must be the name of an account.")
    return user


def _checked_path(field: str, value: str | None) -> str:
    path = (value or "").strip() or DEFAULT_BASE_PATH
    if not re.fullmatch(r"(~?/|\./)?[A-Za-z0-9._+@/-]*", path) or path == "/" or path.startswith("-"):
        raise Unprocessable(f"{field}: must be a path of letters, digits and . _ + @ - below / or the home directory.")
    return path


def _checked_program(field: str, value: str | None) -> str | None:
    program = (value or "").strip()
    if not program:
        return None
    if not re.fullmatch(r"[A-Za-z0-9_/.][A-Za-z0-9._/+-]*", program):
        raise Unprocessable(f"{field}: must be the name or path of a program.")
    return program


def _checked_provider(field: str, value: str | None) -> str | None:
    if value and value not in PROVIDERS:
        raise Unprocessable(f"{field}: must be one of {', '.join(PROVIDERS)}, or null.")
    return value or None


def _checked_key(field: str, value: str) -> str:
    try:
        return checked_private_key(value)
    except ValueError as error:
        raise Unprocessable(f"{field}: {error}") from error


def _refuse_taken(name: str) -> None:
    # Repositories say by this name where they shall lie.
    if RemoteSshConfig.select().where(RemoteSshConfig.name == name).exists():
        raise Conflict(f'A remote SSH config named "{name}" already exists.', reason="name_taken")


def _provider(given: str | None, host: str) -> str | None:
    return "borgbase" if host.lower().endswith(_BORGBASE_SUFFIX) else given


def _seal(run: Runtime, config: RemoteSshConfig, key: str) -> None:
    config.sealed_private_key = run.keyring.seal(key, table="remote_ssh_configs", column="private_key", row=config.id)


def _repository_names(config: RemoteSshConfig) -> list[str]:
    return [row.name for row in config.repositories.order_by(Repository.name, Repository.id)]


def _summary(config: RemoteSshConfig, repository_count: int) -> dict[str, Any]:
    return {
        "id": config.id,
        "name": config.name,
        "provider": config.provider,
        "remote_host": config.remote_host,
        "remote_port": config.remote_port,
        "remote_user": config.remote_user,
        "remote_base_path": config.remote_base_path,
        "borg_remote_path": config.borg_remote_path,
        "append_repo_name": config.append_repo_name,
        "ssh_private_key_set": config.sealed_private_key is not None,
        "disk_total_bytes": config.disk_total_bytes,
        "disk_used_bytes": config.disk_used_bytes,
        "disk_free_bytes": config.disk_free_bytes,
        "disk_checked_at": wire(config.disk_checked_at),
        "disk_check_error": config.disk_check_error,
        "repository_count": repository_count,
        "created_at": wire(config.created_at),
    }


_DISK = ("disk_total_bytes", "disk_used_bytes", "disk_free_bytes", "disk_check_error", "disk_checked_at")

_CHECKS = {
    "name": _checked_name,
    "remote_host": _checked_host,
    "remote_user": _checked_user,
    "remote_base_path": _checked_path,
    "borg_remote_path": _checked_program,
    "provider": _checked_provider,
    "ssh_private_key": _checked_key,
}
