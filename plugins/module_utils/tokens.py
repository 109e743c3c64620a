# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API tokens: over the API, or the first one with the server's own command (admin-api.md §5.9, §2.4)."""

from __future__ import annotations

import os
import re
import tempfile
from datetime import datetime, timezone
from typing import Any

from ansible_collections.borgfleet.bbs.plugins.module_utils._converge import Converger
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import BbsError, InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._field import Field, stripped
from ansible_collections.borgfleet.bbs.plugins.module_utils._lookup import Object
from ansible_collections.borgfleet.bbs.plugins.module_utils._reconcile import Outcome
from ansible_collections.borgfleet.bbs.plugins.module_utils._resource import Resource
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Module, Result, Task


def moment(value: str) -> str:
    """A time in UTC as the API writes it (admin-api.md §1), from that form or ISO 8601."""
    text = str(value).strip()
    try:
        parsed = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is not a time such as '2030-01-31 00:00:00' (UTC)") from None


def moment_from_wire(value: str | None) -> str | None:
    return None if value is None else moment(value)


TOKEN = Resource(
    name="token",
    collection="/tokens",
    items="tokens",
    fields=(
        Field("name", normalise=stripped, mutable=False, spec={"required": True}),
        Field("scope", mutable=False),
        Field("expires_at", normalise=moment, from_wire=moment_from_wire, mutable=False),
        Field("can_read_secrets", type="bool", mutable=False, spec={"no_log": False}),
    ),
)
# What a token may do, and until when; a token without them has full rights.
LIMITS = ("scope", "expires_at")
FULL_RIGHTS = "admin"
COMMAND_NOT_FOUND = (126, 127)
# Name, user, when it was created; a name longer than its column moves the others (admin-api.md §2.4).
ROW = re.compile(r"(?P<name>.{30,}) .{15} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
# Its form: admin-api.md §2.1.
PRINTED_TOKEN = re.compile(r"\bbbs_tok_[0-9a-f]{48}\b")
# Where the server's command finds its configuration.
CONFIG_VARIABLE = "BBS_SERVER_CONFIG"


class Tokens(Converger):
    """Tokens over the API. The value of a token is only told when it is made."""

    resource = TOKEN
    of_client = False

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.dest: str | None = task.params["dest"]
        if self.dest == "":
            raise InvalidOption("dest must not be empty: leave it out to have the token returned.")
        self.rotate = bool(task.params["rotate"])

    def desired(self, current: Object | None) -> dict[str, Any]:
        wanted = super().desired(current)
        self.check_dest()
        if current is None or self.rotate:
            self.check_limits()
        if current is not None and self.rotate:
            if current.get("is_current"):
                raise InvalidOption(
                    f"The token {self.name} cannot replace itself: use another token, or the command on the server."
                )
            return {"name": self.name}
        if current is not None and self.dest and not _holds_token(self.dest):
            raise InvalidOption(
                f"The token {self.name} exists, but {self.dest} does not hold it, and the server never "
                "repeats a token: set rotate to true to replace it, or put the file back."
            )
        return wanted

    def check_limits(self) -> None:
        """Refuse to make a token that could do more, or for longer, than it is to: upstream ignores limits."""
        params = self.task.params
        limits = [name for name in LIMITS if params[name] is not None and params[name] != FULL_RIGHTS]
        if limits and not self.limits_tokens():
            raise InvalidOption(
                f"The server at {self.api.url} makes tokens that may do everything and never end: leave out "
                f"{' and '.join(limits)} if that is what you want."
            )

    def limits_tokens(self) -> bool:
        return bool(self.api.has_feature("token_limits"))

    def check_dest(self) -> None:
        """Look before the token is made: one that cannot be written down would be lost."""
        folder = os.path.dirname(self.dest or "") or "."
        if self.dest and not os.access(folder, os.W_OK) and not self.task.check_mode:
            raise InvalidOption(f"Cannot write {self.dest}: {folder} is not a directory that can be written to.")

    def reconcile(self, desired: dict[str, Any] | None, current: Object | None) -> Outcome:
        outcome = super().reconcile(desired, current)
        if desired is None and current is None and self.dest and os.path.lexists(self.dest):
            # Whoever revoked the token did it elsewhere, or could not remove its file.
            return Outcome("delete", before={"dest": self.dest})
        if desired is None or current is None or not self.rotate:
            return outcome
        after = {**outcome.before, "token": "(changed)"}
        return Outcome("update", before=outcome.before, after=after, changes=("token",))

    def apply(self, outcome: Outcome, current: Object | None) -> Object | None:
        if current is None and outcome.action == "delete":
            self.remove_file()
            return None
        return super().apply(outcome, current)

    def create(self, outcome: Outcome) -> Object:
        return self.keep(self.issue(outcome.payload))

    def update(self, outcome: Outcome, current: Object) -> Object:
        """Replace: revoke, then make one of the same name with the same or the newly given rights."""
        fields = {f.key: self.given(f.option, current) for f in TOKEN.fields}
        self.delete(current)
        return self.keep(self.issue({key: value for key, value in fields.items() if value is not None}))

    def given(self, option: str, current: Object) -> Any:
        value = self.task.params.get(option)
        return current.get(option) if value is None else value

    def issue(self, body: dict[str, Any]) -> Object:
        """Make the token. One whose answer got lost is revoked: nobody knows its value."""
        created = self.post(body)
        if "token" not in created:
            self.delete(created)
            created = self.post(body)
        return created

    def keep(self, created: Object) -> Object:
        if self.dest:
            try:
                write_private(self.dest, created["token"] + "\n")
            except BaseException:
                # A token that nobody holds would stand in the way of the next run.
                self.delete(created)
                raise
        return created

    def delete(self, current: Object) -> None:
        super().delete(current)
        if self.task.params["state"] == "absent":
            self.remove_file()

    def remove_file(self) -> None:
        """Remove the file of a token that has been revoked, if it is there."""
        try:
            if self.dest:
                os.unlink(self.dest)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BbsError(f"The token is revoked, but {self.dest} cannot be removed: {error.strerror}.") from error

    def report(self, obj: Object | None, outcome: Outcome) -> Result:
        value = (obj or {}).get("token")
        if obj is None or outcome.action == "delete":
            return {"name": self.name, "id": None, "dest": self.dest, "token": None}
        return {
            "name": self.name,
            "id": obj.get("id"),
            "dest": self.dest,
            # Once written to a file it need not be anywhere else.
            "token": None if self.dest else value,
        }


class CommandTokens(Tokens):
    """Tokens with the command on the server's own host: how the first one comes about."""

    def limits_tokens(self) -> bool:
        """The command refuses what it does not know."""
        return True

    def find(self, name: str) -> Object | None:
        """A row of the table that the command prints."""
        rows = (ROW.match(line) for line in self.command("list").splitlines())
        return {"name": name} if any(row and row["name"].rstrip() == name for row in rows) else None

    def post(self, body: dict[str, Any]) -> Object:
        beyond = sorted(set(body) - {"name", "scope"})
        if beyond:
            raise InvalidOption(f"The command makes plain tokens only: {', '.join(beyond)} needs url and token.")
        scope = ["--scope", body["scope"]] if "scope" in body else []
        printed = self.command("create", "--name", body["name"], *scope)
        # Over a terminal, which SSH connections may make, the command's remarks come the same way.
        found = PRINTED_TOKEN.search(printed)
        if found is None:
            raise BbsError("The command made a token but printed none that can be recognised: revoke it and try again.")
        return {**body, "token": found[0]}

    def delete_at(self, path: str, query: dict[str, Any] | None = None) -> None:
        self.command("revoke", self.name)

    def path(self, obj: Object) -> str:
        return ""

    def command(self, *arguments: str) -> str:
        """Run the command on the target host.

        :return: its standard output
        :raises BbsError: it is not there, or it failed
        """
        argv: list[str] = [*self.task.params["command"], *arguments]
        config = self.task.params["server_config"]
        if config:
            argv = ["env", f"{CONFIG_VARIABLE}={config}", *argv]
        code, out, err = self.task.run_command(argv)
        program = " ".join(self.task.params["command"])
        if code in COMMAND_NOT_FOUND:
            raise BbsError(
                f"There is no command {program} on this host. Run the task on the server's host and say with "
                "command where it is, or set url and token to use the API."
            )
        if code:
            said = (err or out).strip().splitlines() or [f"exit code {code}"]
            # Some programs show their usage first.
            reason = next((line for line in said if line.startswith("Error")), said[0])
            raise BbsError(f"{program} {arguments[0]} failed: {reason}")
        return out


def _holds_token(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return bool(file.read().strip())
    except (OSError, UnicodeDecodeError):
        return False


def write_private(path: str, content: str) -> None:
    """Write a file that only its owner can read; whoever reads meanwhile sees the old one or the new one."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".bbs-token-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
            os.chmod(temporary, 0o600)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise BbsError(f"Cannot write {path}: {error.strerror}.") from error


def uses_command(task: Task) -> bool:
    """Whether the task cannot, or shall not, use the API."""
    has_token = task.params["token"] or task.params["token_file"]
    return not (task.params["url"] and has_token) or bool(task.given & {"command", "server_config"})


def perform(task: Task) -> Result:
    return (CommandTokens if uses_command(task) else Tokens).perform(task)


MODULE = Module(
    name="bbs_token",
    options={
        **TOKEN.argument_spec(),
        "dest": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "rotate": {"type": "bool", "default": False},
        "command": {"type": "list", "elements": "str", "default": ["bbs-token"]},
        "server_config": {"type": "path"},
    },
    perform=perform,
    uses_connection=uses_command,
)
