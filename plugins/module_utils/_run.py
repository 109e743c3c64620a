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
from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import BbsError, InvalidOption
from ansible_collections.borgfleet.bbs.plugins.module_utils._options import mistyped

Result = Dict[str, Any]
# Takes an argument vector, returns exit code, stdout and stderr.
CommandRunner = Callable[[Sequence[str]], Tuple[int, str, str]]
# A kind of object by its name in messages, such as "plan", and one's own name.
Foresight = Callable[[str, str], bool]


def _no_command(argv: Sequence[str]) -> tuple[int, str, str]:
    raise BbsError(f"Commands cannot be run here: {argv[0]}.")


def _ignore(message: str) -> None:
    """For whoever has nobody to tell."""


def _nothing(kind: str, name: str) -> bool:
    """For a task that only knows of itself."""
    return False


@dataclass
class Task:
    """A task in hand.

    :param params: every option, coerced; None for what the task leaves out
    :param given: the options that the task, or its module_defaults, really sets; null counts as set
    :param written: these as they were written, neither checked nor coerced
    :param secrets: values that must not appear in anything the task says; grows while it runs
    :param warn: tells the user something that is not a failure
    :param progress: tells the user what is going on meanwhile; silent in an ordinary module
    :param run_command: runs a command on the task's target host
    :param connect: makes the client of the API
    :param foreseen: whether the same task, were it not in check mode, would have created an object before
    """

    params: Mapping[str, Any]
    given: frozenset[str]
    written: Mapping[str, Any] = field(default_factory=dict)
    check_mode: bool = False
    secrets: set[str] = field(default_factory=set)
    warn: Callable[[str], None] = _ignore
    progress: Callable[[str], None] = _ignore
    run_command: CommandRunner = _no_command
    foreseen: Foresight = _nothing
    connect: Callable[[Connection], ApiClient] = ApiClient

    @cached_property
    def api(self) -> ApiClient:
        """The server that the connection options name; nothing is asked before the first use."""
        return self.connect(self.connection())

    def connection(self) -> Connection:
        """What the connection options say."""
        if "@" in (self.params["url"] or ""):
            # It is refused, and the password in it is not to be seen in what is told of the task.
            self.secrets.add(self.params["url"])
        connection = Connection.from_options(self.params, self.given)
        self.secrets.add(connection.token)
        return connection


def _never(task: Task) -> bool:
    return False


def _no_diagnosis(written: Mapping[str, Any]) -> list[str]:
    return []


@dataclass(frozen=True)
class Module:
    """A module: its name, its options beside those of the connection, and what it does.

    :param perform: does the task; its answer is the task's result without ``failed``
    :param uses_connection: whether a task reaches its target host by itself, and so need not run there when
        it is delegated
    :param rules: ``required_if``, ``mutually_exclusive`` and the like, as Ansible takes them
    :param diagnose: says of options that Ansible refuses, as they were written, what is wrong with them where its own
        words would not do; empty where they do
    """

    name: str
    options: Mapping[str, dict[str, Any]]
    perform: Callable[[Task], Result]
    uses_connection: Callable[[Task], bool] = _never
    rules: Mapping[str, Any] = field(default_factory=dict)
    diagnose: Callable[[Mapping[str, Any]], list[str]] = _no_diagnosis

    @property
    def argument_spec(self) -> dict[str, dict[str, Any]]:
        return {**CONNECTION_OPTIONS, **self.options}


def perform(module: Module, task: Task) -> Result:
    """Do the task and say how it went, in the form of an Ansible result."""
    try:
        fault = next(mistyped(module.argument_spec, task.written), None)
        if fault:
            raise InvalidOption(f"{fault}.")
        return module.perform(task)
    except BbsError as error:
        return {**error.details, "failed": True, "msg": str(error)}


class _AnsibleModule(AnsibleModule):  # type: ignore[misc, unused-ignore]  # only newer releases of Ansible have types
    """Remembers which options the task sets: afterwards, omitted ones are None as well."""

    def __init__(self, module: Module) -> None:
        self.written: dict[str, Any] = {}
        self._module: Module | None = module
        super().__init__(module.argument_spec, supports_check_mode=True, **module.rules)
        self._module = None

    def _load_params(self) -> None:
        super()._load_params()
        self.written = dict(self.params)

    def fail_json(self, msg: str, **kwargs: Any) -> Any:
        """Before the options have passed, what fails is one of them."""
        found = self._module.diagnose(self.written) if self._module else []
        return super().fail_json("; ".join(found) or msg, **kwargs)


def run_module(module: Module) -> None:
    """Run as an ordinary module: for tasks that are delegated to another host."""
    ansible = _AnsibleModule(module)

    def run_command(argv: Sequence[str]) -> tuple[int, str, str]:
        code, out, err = ansible.run_command(list(argv))
        return code, out, err

    task = Task(
        params=ansible.params,
        given=frozenset(ansible.written),
        written=ansible.written,
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
    return _without_secrets(
        module.argument_spec, {name: task.params[name] for name in task.given if name in task.params}
    )


def _without_secrets(spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _told(spec[name], options[name]) for name in sorted(options) if name in spec}


def _told(option: Mapping[str, Any], value: Any) -> Any:
    if option.get("no_log"):
        return "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    if isinstance(value, list) and "options" in option:
        return [_without_secrets(option["options"], {k: v for k, v in item.items() if v is not None}) for item in value]
    return value
