# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way in for both places where a task can run: the controller's worker and an ordinary module."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Callable, Dict, Mapping, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.borgfleet.bbs.plugins.module_utils._client import ApiClient
from ansible_collections.borgfleet.bbs.plugins.module_utils._connection import CONNECTION_OPTIONS, Connection
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import BbsError

Result = Dict[str, Any]
# Takes an argument vector, returns exit code, stdout and stderr.
CommandRunner = Callable[[Sequence[str]], Tuple[int, str, str]]


def _no_command(argv: Sequence[str]) -> tuple[int, str, str]:
    raise BbsError(f"Commands cannot be run here: {argv[0]}.")


def _ignore(message: str) -> None:
    """For whoever has nobody to tell."""


@dataclass
class Task:
    """A task in hand.

    :param params: every option, coerced; None for what the task leaves out
    :param given: the options that the task, or its module_defaults, really sets; null counts as set
    :param secrets: values that must not appear in anything the task says; grows while it runs
    :param warn: tells the user something that is not a failure
    :param progress: tells the user what is going on meanwhile; silent in an ordinary module
    :param run_command: runs a command on the task's target host
    """

    params: Mapping[str, Any]
    given: frozenset[str]
    check_mode: bool = False
    secrets: set[str] = field(default_factory=set)
    warn: Callable[[str], None] = _ignore
    progress: Callable[[str], None] = _ignore
    run_command: CommandRunner = _no_command

    @cached_property
    def api(self) -> ApiClient:
        """The server that the connection options name; nothing is asked before the first use."""
        connection = Connection.from_options(self.params, self.given)
        self.secrets.add(connection.token)
        return ApiClient(connection)


def _never(task: Task) -> bool:
    return False


@dataclass(frozen=True)
class Module:
    """A module: its name, its options beside those of the connection, and what it does.

    :param perform: does the task; its answer is the task's result without ``failed``
    :param uses_connection: whether a task reaches its target host by itself, and so need not run there when
        it is delegated
    :param rules: ``required_if``, ``mutually_exclusive`` and the like, as Ansible takes them
    """

    name: str
    options: Mapping[str, dict[str, Any]]
    perform: Callable[[Task], Result]
    uses_connection: Callable[[Task], bool] = _never
    rules: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def argument_spec(self) -> dict[str, dict[str, Any]]:
        return {**CONNECTION_OPTIONS, **self.options}


def perform(module: Module, task: Task) -> Result:
    """Do the task and say how it went, in the form of an Ansible result."""
    try:
        return module.perform(task)
    except BbsError as error:
        return {**error.details, "failed": True, "msg": str(error)}


class _AnsibleModule(AnsibleModule):  # type: ignore[misc, unused-ignore]
    """Remembers which options the task sets: afterwards, omitted ones are None as well."""

    given: frozenset[str] = frozenset()

    def _load_params(self) -> None:
        super()._load_params()
        self.given = frozenset(self.params)


def run_module(module: Module) -> None:
    """Run as an ordinary module: for tasks that are delegated to another host."""
    ansible = _AnsibleModule(module.argument_spec, supports_check_mode=True, **module.rules)

    def run_command(argv: Sequence[str]) -> tuple[int, str, str]:
        code, out, err = ansible.run_command(list(argv))
        return code, out, err

    task = Task(
        params=ansible.params,
        given=ansible.given,
        check_mode=ansible.check_mode,
        secrets=ansible.no_log_values,
        warn=ansible.warn,
        run_command=run_command,
    )
    result = perform(module, task)
    # Without this, Ansible would add the options as they were given.
    result["invocation"] = {"module_args": invocation(module, task)}
    if not ansible._diff:
        result.pop("diff", None)
    if result.pop("failed", False):
        ansible.fail_json(**result)
    ansible.exit_json(**result)


def invocation(module: Module, task: Task) -> dict[str, Any]:
    """The options that the task sets, without those that hold secrets."""
    hidden = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    spec = module.argument_spec
    return {
        name: hidden if spec.get(name, {}).get("no_log") else task.params[name]
        for name in sorted(task.given)
        if name in spec
    }
