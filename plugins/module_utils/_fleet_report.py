# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet's task tells: of each host, in numbers, and in sentences that do not grow with the fleet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.borgfleet.bbs.plugins.module_utils._fleet_hosts import CLIENT, KINDS, Entry
from ansible_collections.borgfleet.bbs.plugins.module_utils._run import Result

ACTIONS = ("created", "updated", "deleted", "unchanged")
NAMES_IN_SENTENCES = 5
FAILURES_IN_MESSAGE = 20
NOT_TRIED = "not tried any more, after what another host met"


@dataclass
class HostReport:
    """What became of one host.

    :param objects: by kind and label, with the action and what is told of each
    :param failure: why it is not where it shall be
    :param made_passphrase: whether a repository got a passphrase that the task does not name
    """

    name: str
    objects: dict[str, dict[str, Result]] = field(default_factory=dict)
    client: Result = field(default_factory=dict)
    diffs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: str = ""
    made_passphrase: bool = False

    @property
    def changed(self) -> bool:
        return any(action != "unchanged" for _kind, action in self.actions())

    def actions(self) -> Iterable[tuple[str, str]]:
        """The kind of each object, as ``summary`` names it, and what was done to it."""
        if self.client:
            yield "clients", self.client["action"]
        for kind, objects in self.objects.items():
            for told in objects.values():
                yield kind, told["action"]

    def add(self, entry: Entry, result: Result, keys: Sequence[str]) -> None:
        """Note the result of one object's task.

        :param keys: what of it is told, beside the action
        """
        told = {"action": action_of(result), **{key: result[key] for key in keys if key in result}}
        if entry.kind is CLIENT:
            self.client = told
        else:
            self.objects.setdefault(entry.kind.option, {})[entry.label] = told
        if told["action"] == "created" and result.get("passphrase") and not entry.params.get("passphrase"):
            self.made_passphrase = True
        if result["changed"]:
            where = self.name if entry.kind is CLIENT else f"{self.name}: {entry.kind.name} {entry.label}"
            self.diffs.append({**result["diff"], "before_header": where, "after_header": where})

    def told(self) -> Result:
        failure = {"msg": self.failure} if self.failure else {}
        return {"changed": self.changed, "failed": bool(self.failure), **failure, **self.client, **self.objects}


def action_of(result: Result) -> str:
    """What a task with this result has done to its object, or would have done."""
    if not result["changed"]:
        return "unchanged"
    if not result["diff"]["before"]:
        return "created"
    return "updated" if result["diff"]["after"] else "deleted"


def result_of(reports: Sequence[HostReport]) -> Result:
    """The result of the whole task, failed when a host is not where it shall be."""
    failed = [report for report in reports if report.failure]
    told = [report for report in reports if not failed or report.failure or report.changed]
    result: Result = {
        "changed": any(report.changed for report in reports),
        "hosts": {report.name: report.told() for report in told},
        "summary": summary(reports),
        "diff": [diff for report in reports for diff in report.diffs],
    }
    return {**result, "failed": True, "msg": message(failed, len(reports))} if failed else result


def summary(reports: Sequence[HostReport]) -> Result:
    """How many hosts and objects of each kind there are, and what became of them."""
    kinds = ("clients", *(kind.option for kind in KINDS))
    counts: dict[str, dict[str, int]] = {kind: dict.fromkeys(ACTIONS, 0) for kind in kinds}
    for report in reports:
        for kind, action in report.actions():
            counts[kind][action] += 1
    changed = sum(report.changed for report in reports)
    failed = sum(bool(report.failure) for report in reports)
    return {"hosts": len(reports), "changed": changed, "failed": failed, **counts}


def message(failed: Sequence[HostReport], total: int) -> str:
    """All failures in one text; hosts that met the same are named together."""
    grouped = together((report.name, report.failure) for report in failed)
    lines = [f"{names(hosts)}: {failure}" for failure, hosts in grouped.items()]
    more = len(lines) - FAILURES_IN_MESSAGE
    rest = [f"and {more} other failures, see hosts in the result"] if more > 0 else []
    return "\n".join([f"{len(failed)} of {total} hosts failed.", *lines[:FAILURES_IN_MESSAGE], *rest])


def together(said: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """For each text the names of those that say it."""
    found: dict[str, list[str]] = {}
    for name, text in said:
        found.setdefault(text, []).append(name)
    return found


def names(of: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(of) - NAMES_IN_SENTENCES
    return ", ".join(of[:NAMES_IN_SENTENCES]) + (f" and {more} more" if more > 0 else "")
