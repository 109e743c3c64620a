# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from outside stays text: never an option of borg or ssh, shell, a format, or a path elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from . import backups
from .conftest import Server

HOSTILE = {
    "an ssh option": "-oProxyCommand=touch /tmp/pwned",
    "a borg option": "--rsh=touch /tmp/pwned",
    "the end of options": "--",
    "a command substitution": "$(touch /tmp/pwned)",
    "backquotes": "`touch /tmp/pwned`",
    "another command": "x; touch /tmp/pwned #",
    "quotes": "'\"; touch /tmp/pwned; '",
    "a second line": "x\n--rsh=touch /tmp/pwned",
    "a zero byte": "x\x00y",
    "a Python format": "{0.__class__.__init__.__globals__}",
    "a printf format": "%s%s%n",
    "a placeholder of borg": "{hostname}{now}{unknown}",
    "a way up": "../../../../tmp/pwned",
    "markup": "<script>alert(1)</script>",
    "SQL": "x'); DROP TABLE clients; --",
    "a lone surrogate": "x\ud800y",
    "text that turns round": "x\u202ey",
    "a long one": "x" * 100_000,
}

PLAN = {"name": "nightly", "directories": "/srv", "frequency": "manual"}
REMOTE = {"name": "r", "remote_host": "h.example", "remote_user": "u", "ssh_private_key": "x"}

FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("/clients", {}, "name"),
    ("/clients/{client}/repositories?dry_run=1", {"encryption": "none"}, "name"),
    # Rehearsed only: test_repositories.py makes real ones.
    ("/clients/{client}/repositories?dry_run=1", {"name": "r"}, "passphrase"),
    ("/clients/{client}/repositories?dry_run=1", {"name": "r"}, "encryption"),
    *(("/clients/{client}/plans", PLAN, field) for field in (
        "name", "directories", "excludes", "advanced_options", "frequency", "times", "day_of_week", "day_of_month",
        "timezone",
    )),
    *(("/clients/{client}/plugin-configs", {"plugin": "shell_hook", "name": "h"}, field) for field in (
        "name", "plugin", "config.pre_script", "config.post_script",
    )),
    *(("/clients/{client}/plugin-configs", {"plugin": "mysql_dump", "name": "h"}, field) for field in (
        "config.host", "config.user", "config.password", "config.databases", "config.exclude_databases",
        "config.dump_dir", "config.extra_options",
    )),
    *(("/remote-ssh-configs", REMOTE, field) for field in (
        "name", "remote_host", "remote_user", "remote_base_path", "borg_remote_path", "ssh_private_key",
    )),
    ("/tokens", {"name": "t"}, "name"),
    ("/tokens", {"name": "t"}, "scope"),
    ("/storage", {"label": "l"}, "path"),
    ("/storage", {"path": "/tmp"}, "label"),
    ("/users", {"username": "u", "email": "u@bbs.example"}, "username"),
    ("/users", {"username": "u", "email": "u@bbs.example"}, "email"),
]  # fmt: skip


def body_with(base: dict[str, Any], field: str, text: str, repository: int) -> dict[str, Any]:
    outer, _, inner = field.partition(".")
    body = base | {outer: {inner: text} if inner else text}
    return body | ({"repository_id": repository} if "directories" in base else {})


@pytest.mark.parametrize(("path", "base", "field"), FIELDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_field_takes_it_as_text_or_refuses_it(
    server: Server,
    client: dict[str, Any],
    repository: dict[str, Any],
    path: str,
    base: dict[str, Any],
    field: str,
) -> None:
    wrong = []
    for kind, text in HOSTILE.items():
        body = body_with(base, field, text, repository["id"])
        reply = server.call("POST", path.format(client=client["id"]), body)
        if reply.status_code not in (200, 201, 400, 404, 409, 422) or not reply.is_json:
            wrong.append(f"{kind}: {reply.status_code} {reply.text[:200]}")
    assert wrong == []
    assert not Path("/tmp/pwned").exists()


def test_what_a_plan_takes_reaches_borg_as_values_only(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    """What is accepted stands in borg's arguments as it was sent, and none of them has become an option."""
    made = server.post(f"/clients/{client['id']}/plans", PLAN | {"repository_id": repository["id"]})
    path = f"/clients/{client['id']}/plans/{made['id']}"
    plain = arguments(server, client, path)
    options = {word for word in plain if word.startswith("-")}

    taken = 0
    for field in ("directories", "excludes", "advanced_options", "name"):
        for kind, text in HOSTILE.items():
            if server.call("PUT", path, {field: text}).status_code != 200:
                continue
            words = arguments(server, client, path)
            assert {word for word in words if word.startswith("-")} <= options | {"--exclude"}, (field, kind)
            if field in ("directories", "excludes"):
                assert set(text.split("\n")) <= set(words), (field, kind)
                taken += 1
        server.call("PUT", path, PLAN | {"excludes": None, "advanced_options": None})
    assert taken


def test_what_an_agent_calls_its_archive_is_a_name_or_refused(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    """Borg fills in what stands in braces, and takes a slash for a part of the repository's path."""
    made = server.post(f"/clients/{client['id']}/plans", PLAN | {"repository_id": repository["id"]})
    path = f"/clients/{client['id']}/repositories/{repository['id']}/archives"
    for kind, text in HOSTILE.items():
        job = server.post(f"/clients/{client['id']}/plans/{made['id']}/trigger")["job_id"]
        server.agent("GET", "/tasks", client["api_key"])
        report = {"job_id": job, "result": "completed", "archive_name": text}
        reply = server.agent("POST", "/status", client["api_key"], report)
        stored = text in [archive["name"] for archive in server.get(path)["archives"]]
        assert reply.status_code == (200 if stored else 400), (kind, reply.text)
        assert not (stored and set(text) & set("/{}\n")), kind
        server.agent("POST", "/status", client["api_key"], report | {"result": "failed", "archive_name": None})


def test_an_archive_named_like_an_option_is_locked_and_unlocked(
    server: Server, client: dict[str, Any], repository: dict[str, Any]
) -> None:
    archive = backups.make_archive(server, repository, "locked.--rsh=sh -c id")
    path = f"/clients/{client['id']}/repositories/{repository['id']}/archives/{archive}/lock"
    for locked, name in ((False, "--rsh=sh -c id"), (True, "locked.--rsh=sh -c id")):
        assert server.call("POST", path, {"locked": locked}).status_code == 202
        server.work()
        assert backups.borg("list", "--short", str(backups.directory(server, repository))) == f"{name}\n"


def arguments(server: Server, client: dict[str, Any], path: str) -> list[str]:
    """The command of a backup that is triggered, told to the agent and given up."""
    job = server.post(f"{path}/trigger")["job_id"]
    (task,) = server.agent("GET", "/tasks", client["api_key"]).get_json()["tasks"]
    server.agent("POST", "/status", client["api_key"], {"job_id": job, "result": "failed"})
    command: list[str] = task["command"]
    return command
