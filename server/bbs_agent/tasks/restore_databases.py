# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`restore_mysql`, `restore_pg`, `restore_mongo`: databases out of an archive (agent-protocol.md §7.2)."""

from typing import Any, Dict, List, NamedTuple, Tuple, Type

from ..borg import BorgOutput, silent_end
from ..host import Host
from ..job import Job, TaskError
from ..plugins.base import PluginError, PluginScope
from ..plugins.dump_files import DumpFiles
from ..plugins.dumps import DatabaseDump, Wanted
from ..plugins.mongo_dump import MongoDump
from ..plugins.mysql_dump import MysqlDump
from ..plugins.pg_dump import PgDump
from .borg_run import borg_environment, run_borg
from .outcome import COMPLETED, FAILED, Result

REPLACE, RENAME = "replace", "rename"
LEFT_OUT = "{}: left out, since it is the database server's own; restore its dump as a file to see what was in it"


class _Engine(NamedTuple):
    plugin: Type[DatabaseDump]
    config: str


ENGINES = {
    "restore_mysql": _Engine(MysqlDump, "mysql_config"),
    "restore_pg": _Engine(PgDump, "pg_config"),
    "restore_mongo": _Engine(MongoDump, "mongo_config"),
}


def restore_databases(job: Job, host: Host) -> Result:
    """Extract the dumps and load one database after the other.

    A database that cannot be restored fails the job, but not the databases after it. The dumps go
    to a directory of their own below the dump directory, whatever the task's `cwd`: extracted to
    where they came from, they would replace newer dumps there and stay.
    """
    wanted = _wanted(job.task.get("databases"))
    engine = ENGINES[job.kind]
    config = job.task.get(engine.config)
    if not isinstance(config, dict):
        raise TaskError("The server sent no {} with this task.".format(engine.config))
    plugin = engine.plugin({"slug": engine.plugin.slug, "config": config}, PluginScope(job, host))
    try:
        plugin.require_login()
        with plugin.workspace() as place:
            job.say("Extracting the dumps...")
            output = _extract(job, host, place)
            files = DumpFiles(place)
            left_out = _left_out(plugin, files, wanted)
            chosen = [one for one in wanted if one.database not in left_out]
            restored, problems = _load(job, plugin, files, chosen)
    except PluginError as error:
        raise TaskError(str(error)) from error
    return Result(_report(job, output, restored, problems, left_out))


def _wanted(databases: Any) -> List[Wanted]:
    """The task's `databases`, each `{database, mode, target_name?}`. Raises TaskError."""
    entries = databases if isinstance(databases, list) else []
    found = []
    for entry in entries:
        name = str(entry.get("database") or "") if isinstance(entry, dict) else ""
        if not name:
            raise TaskError("The server named no database in {!r}.".format(entry))
        mode = entry.get("mode")
        if mode not in (REPLACE, RENAME):
            raise TaskError("{}: mode must be {} or {}, not {!r}.".format(name, REPLACE, RENAME, mode))
        target = str(entry.get("target_name") or "") if mode == RENAME else name
        if not target:
            raise TaskError("{}: mode {} needs a target_name.".format(name, RENAME))
        found.append(Wanted(name, target, replaces=mode == REPLACE))
    if not found:
        raise TaskError("The server named no database to restore.")
    return found


def _extract(job: Job, host: Host, place: str) -> BorgOutput:

    def _progress(found: BorgOutput) -> None:
        job.count(files_processed=found.files, bytes_processed=found.bytes)

    output = BorgOutput([], _progress, written="the disk below {}".format(place))
    with borg_environment(job, host) as env:
        done = run_borg(job, host, env, output, cwd=place)
    if done.code != 0:
        raise TaskError(output.error_log(failed=True) or silent_end(done.code))
    return output


def _left_out(plugin: DatabaseDump, files: DumpFiles, wanted: List[Wanted]) -> List[str]:
    """Databases that were only named because a dump of the whole server is restored as a whole.

    Named alone, one of the server's own is what somebody wants, and cannot have.
    """
    own = [one.database for one in wanted if one.replaces and one.database in plugin.own_databases]
    return own if len(own) < len(wanted) and files.of_whole_server() else []


def _load(job: Job, plugin: DatabaseDump, files: DumpFiles, wanted: List[Wanted]) -> Tuple[List[str], List[str]]:
    """What was restored, and what was not and why."""
    restored, problems = [], []
    for number, one in enumerate(wanted, 1):
        job.say("Restoring {} ({} of {})...".format(one.target, number, len(wanted)))
        try:
            plugin.restore(files, one)
        # EOFError: a gzip file that ends too early.
        except (PluginError, OSError, EOFError) as error:
            problems.append("{}: {}".format(one.database, error))
        else:
            restored.append(one.database if one.replaces else "{} as {}".format(one.database, one.target))
    return restored, problems


def _report(
    job: Job, output: BorgOutput, restored: List[str], problems: List[str], left_out: List[str]
) -> Dict[str, Any]:
    report: Dict[str, Any] = {
        "job_id": job.id,
        "result": FAILED if problems else COMPLETED,
        "files_total": output.files,
        "files_processed": output.files,
    }
    if restored:
        report["output_log"] = job.clean("Restored: " + ", ".join(restored))
    if problems or left_out:
        report["error_log"] = job.clean("\n".join(problems + [LEFT_OUT.format(name) for name in left_out]))
    if left_out and not problems:
        report["had_warnings"] = True
    return report
