# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules in the controller's worker: no connection, no Python start per task.

Each module has an action plugin of its own name, a subclass. Ansible imports that before it forks workers, which
a plugin that is only routed to in ``meta/runtime.yml`` is not: every task would import ``requests`` anew, and take
twice as long.
"""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Sequence

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.borgfleet.bbs.plugins.module_utils._options import described
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import (
    Module,
    Result,
    Task,
    invocation,
    perform,
)

display = Display()

TOKEN_VARIABLE = "BBS_TOKEN"


class WorkerAction(ActionBase):
    """An action plugin that does what a module does; subclasses say which."""

    module: Module
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._host = str((task_vars or {}).get("inventory_hostname", ""))
        with _environment(self._task_environment()):
            task = self._validated()
            if self._delegated_to_another_host() and not self.module.uses_connection(task):
                result.update(self._executed(task_vars))
            else:
                result.update(self._perform(task))
        return result

    def _delegated_to_another_host(self) -> bool:
        transport = getattr(self._connection, "transport", None)
        return bool(self._task.delegate_to) and transport != "local"

    def _executed(self, task_vars: dict[str, Any] | None) -> Result:
        """Run as an ordinary module, with a token from the environment among the options.

        Ansible prints the environment of a module as part of the command that starts it, at -vvv.
        """
        arguments, environment = dict(self._task.args), self._task_environment()
        token = environment.pop(TOKEN_VARIABLE, None)
        if token and not {"token", "token_file"} & set(arguments):
            arguments["token"] = token
        self._task.environment = [environment]
        result: Result = self._execute_module(self._task.action, module_args=arguments, task_vars=task_vars)
        return result

    def _task_environment(self) -> dict[str, str]:
        """The task's ``environment``, which an ordinary module would see as well."""
        environment: dict[str, str] = {}
        self._compute_environment_string(environment)
        return environment

    def _validated(self) -> Task:
        """The task's options, checked and coerced as an ordinary module would do it."""
        arguments = {name: plain(value) for name, value in self._task.args.items()}
        spec = self.module.argument_spec
        validator = ArgumentSpecValidator(spec, **self.module.rules)
        validation = validator.validate(arguments)
        # Only AnsibleModule has a public way to these, and it cannot run in a worker.
        secrets: set[str] = validation._no_log_values
        if validation.error_messages:
            messages = self.module.diagnose(arguments) or [described(error) for error in validation.errors]
            raise AnsibleActionFail(str(remove_values("; ".join(messages), secrets)))
        return Task(
            params={name: validation.validated_parameters.get(name) for name in spec},
            given=frozenset(arguments),
            written=arguments,
            check_mode=self._task.check_mode,
            secrets=secrets,
            progress=self._show_progress,
            run_command=self._run_command,
        )

    def _perform(self, task: Task) -> Result:
        warnings: list[str] = []
        task.warn = warnings.append
        result = perform(self.module, task)
        result["invocation"] = {"module_args": invocation(self.module, task)}
        if warnings:
            result["warnings"] = warnings
        if not self._task.diff:
            result.pop("diff", None)
        return _without(task.secrets, result)

    def _show_progress(self, line: str) -> None:
        if not self._task.no_log:
            display.display(f"[{self._host}] {line}")

    def _run_command(self, argv: Sequence[str]) -> tuple[int, str, str]:
        """Run a command on the target host, as the task's user and with its environment."""
        command = " ".join(shlex.quote(word) for word in argv)
        environment = self._compute_environment_string()
        # Some connections print what a command answers at -vvv, and a token may be in it.
        context, self._play_context.no_log = self._play_context.no_log, True
        try:
            answer = self._low_level_execute_command(f"{environment} {command}".strip())
        finally:
            self._play_context.no_log = context
        return answer["rc"], answer["stdout"], answer["stderr"]


def plain(value: Any) -> Any:
    """A task argument without what Ansible's template engine attaches to it: HTTP wants the bare types."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    for bare in (int, float):
        if isinstance(value, bare):
            return bare(value)
    return str(value)


def _without(secrets: set[str], result: Result) -> Result:
    """The result with every secret blotted out, as AnsibleModule does it: switches and nulls stay."""
    kept = {key: value for key, value in result.items() if value is None or isinstance(value, bool)}
    cleaned: Result = remove_values(result, secrets)
    return {**cleaned, **kept}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    if not variables:
        yield
        return
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
