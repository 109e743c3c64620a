# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened between two recorded lines: lines that were left out, and state that upstream reached by SQL.

Nothing is guessed: each rule follows from what the next recorded answer shows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bbs_server.models import Archive, Job
from bbs_server.runtime import EXTENSION
from bbs_server.scheduling import states

from .catalogue import KINDS, Ref, caller, collection, refs
from .recordings import Exchange
from .world import MADE_BY_THE_SERVER, World

COMPLETE_LISTS = ("clients", "repositories", "plans", "plugin_configs")
"""Lists that show all there is, so that what stands in them and what does not tells of creations and deletions."""

NOUNS = {
    "clients": "Client",
    "repositories": "Repository",
    "plans": "Plan",
    "plugin_configs": "Plugin configuration",
}
"""How upstream calls an object it does not find."""

ENDED = (states.COMPLETED, states.FAILED, states.CANCELLED)
WINDOW_SECONDS = 301

WINDOW_ENDED = (
    "rate limit: good token after the window",
    "rate limit: reset check bad 1",
    "tasks: key of deleted client",
)
"""Lines before which upstream's counter of failures was cleared."""

SEEDED = range(8, 268)
"""The jobs that were put into upstream's database (the note says 260); their states take turns."""
SEED_START = datetime(2026, 3, 30, 2, 0, tzinfo=UTC)
SEED_STATES = ("running", "completed", "failed", "cancelled", "completed", "sent")

NO_SLOTS = ("tasks: in maintenance mode", "tasks: no free queue slot")
"""Polls while nothing was let through."""


def catch_up(world: World, exchange: Exchange) -> None:
    """Bring our server to the state in which upstream answered this line."""
    if "seeded by SQL" in exchange.note and Ref("jobs", SEEDED[-1]) not in world.ids:
        _seed_jobs(world)
    _failed_attempts(world, exchange)
    if exchange.answer is None:
        return
    _deleted_before(world, exchange)
    if exchange.worked:
        _objects_in_lists(world, exchange)
        _jobs_as_shown(world, exchange)
        _free_for(world, exchange)
        _stalled(world, exchange)
        _archive_where_named(world, exchange)


@contextmanager
def surroundings(world: World, exchange: Exchange) -> Iterator[None]:
    """Settings that were different for this line only."""
    app, run = world.server.app, world.server.run
    if exchange.name in NO_SLOTS:
        app.extensions[EXTENSION] = dataclasses.replace(run, settings=dataclasses.replace(run.settings, max_queue=0))
    try:
        yield
    finally:
        app.extensions[EXTENSION] = run


def undo(world: World, exchange: Exchange, answer: Any) -> None:
    """Take back what our server did and upstream refused."""
    if not isinstance(answer, dict) or exchange.method != "POST":
        return
    if "job_id" in answer:
        with world.server.run.database.connection_context():
            Job.delete().where(Job.id == answer["job_id"]).execute()
    elif "id" in answer:
        path = f"{world.path(exchange.path).removeprefix('/api/v1')}/{answer['id']}"
        assert world.server.call("DELETE", path).status_code < 300


def _failed_attempts(world: World, exchange: Exchange) -> None:
    """Attempts with bad credentials that were left out are made, so that the limit is reached at the same one."""
    attempt = re.search(r"bad (?:token|key) attempt (\d+)", exchange.name)
    if attempt is None:
        if exchange.name in WINDOW_ENDED:
            world.server.clock.forward(seconds=WINDOW_SECONDS)
        return
    number = int(attempt[1])
    if number == 1:
        world.server.clock.forward(seconds=WINDOW_SECONDS)
        world.attempts = 0
    for _ in range(number - 1 - world.attempts):
        world.server.http.get(exchange.path, headers={"Authorization": "Bearer bad"})
    world.attempts = number


def _deleted_before(world: World, exchange: Exchange) -> None:
    """Upstream does not know an object that stands at the very place the path names: it was deleted before."""
    named = refs(exchange.path)
    if exchange.status != 404 or not named or collection(exchange.path) or not _by_administrator(exchange):
        return
    last, first = named[-1], named[0]
    missed = re.match(f"{NOUNS.get(last.kind)} not found(?! or)", exchange.answer.get("error", ""))
    if missed and last in world.ids and (last == first or world.catalogue.client_of(last) == first.id):
        world.remove(last)


def _objects_in_lists(world: World, exchange: Exchange) -> None:
    if exchange.method != "GET" or not _by_administrator(exchange):
        return
    for key in COMPLETE_LISTS:
        listed = exchange.answer.get(key)
        if isinstance(listed, list):
            _complete(world, KINDS[key], exchange, {Ref(KINDS[key], item["id"]) for item in listed})


def _complete(world: World, kind: str, exchange: Exchange, listed: set[Ref]) -> None:
    named = refs(exchange.path)
    for ref in sorted(listed):
        if ref not in world.refused and ref not in world.gone:
            world.ours(ref)
    for ref in [ref for ref in world.ids if ref.kind == kind and ref not in listed]:
        if not named or world.catalogue.client_of(ref) == named[0].id:
            world.remove(ref)


def _jobs_as_shown(world: World, exchange: Exchange) -> None:
    """Jobs in the answer exist, and are as far as upstream shows them; those that a full list lacks are gone."""
    answer = exchange.answer
    lists = (answer.get(key) for key in ("jobs", "queue", "recent"))
    shown = [job for listed in lists if isinstance(listed, list) for job in listed]
    if "task_type" in answer and "id" in answer:
        shown.append(answer)
    for job in sorted(shown, key=lambda job: int(job["id"])):
        _job_as_shown(world, Ref("jobs", job["id"]), job)
    if collection(exchange.path) == "jobs" and "?" not in exchange.path and answer.get("total") == len(shown):
        _forget_jobs(world, keep=shown, client=refs(exchange.path)[0])
    if "queue" in answer and "recent" in answer:
        world.end_jobs(Job.id.not_in([world.ours(Ref("jobs", job["id"])) for job in answer["queue"]]))
        if not answer["recent"]:
            _forget_jobs(world, keep=answer["queue"])


def _job_as_shown(world: World, ref: Ref, job: dict[str, Any]) -> None:
    if ref not in world.ids and job["task_type"] in MADE_BY_THE_SERVER:
        world.adopt(ref, job)
    ours = world.ours(ref)
    if job["status"] in ENDED:
        world.end_jobs(Job.id == ours, job["status"])
    elif job["status"] == states.SENT and job["task_type"] not in MADE_BY_THE_SERVER:
        with world.server.run.database.connection_context():
            client = Job.get_by_id(ours).client_id
        recorded = world.recorded("clients", client)
        if recorded:
            world.server.agent("GET", "/tasks", world.words[world.key_word(recorded.id)])


def _forget_jobs(world: World, *, keep: list[dict[str, Any]], client: Ref | None = None) -> None:
    kept = {Ref("jobs", job["id"]) for job in keep}
    for ref in [ref for ref in world.ids if ref.kind == "jobs" and ref not in kept]:
        if client is None or world.catalogue.client_of(ref) == client.id:
            with world.server.run.database.connection_context():
                Job.delete().where(Job.id == world.ids[ref]).execute()
            world.forget(ref)


def _free_for(world: World, exchange: Exchange) -> None:
    """What upstream accepted needed a state that lines left out had led to."""
    named = refs(exchange.path)
    last = exchange.path.rsplit("/", 1)[-1]
    if last == "trigger":
        world.end_jobs(Job.plan == world.ours(named[-1]))
    elif last == "retry":
        world.end_jobs(Job.id == world.ours(named[-1]), states.FAILED)
    elif named and named[-1].kind == "repositories" and exchange.method in ("PUT", "DELETE"):
        world.end_jobs(Job.repository == world.ours(named[-1]))
    elif last in ("progress", "status") and caller(exchange):
        _reported(world, exchange)
    elif last == "tasks" and caller(exchange):
        _delivered(world, exchange)


def _reported(world: World, exchange: Exchange) -> None:
    ref = Ref("jobs", int(exchange.body["job_id"]))
    ended = exchange.answer.get("already_terminal") or exchange.answer.get("cancel")
    if not ended and exchange.name != "progress: after completed":
        world.activate(ref)


def _delivered(world: World, exchange: Exchange) -> None:
    """Exactly the recorded tasks can be delivered: others had ended, and their repositories were free."""
    refs_of_tasks = [Ref("jobs", task["job_id"]) for task in exchange.answer["tasks"]]
    wanted = [world.ours(ref) for ref in refs_of_tasks]
    if exchange.name in NO_SLOTS:
        return
    client = world.ours(Ref("clients", caller(exchange) or 1))
    waiting = Job.status.in_((states.QUEUED, states.SENT)) & Job.task_type.not_in(MADE_BY_THE_SERVER)
    world.end_jobs((Job.client == client) & waiting & Job.id.not_in(wanted))
    if wanted:
        world.end_jobs((Job.client == client) & (Job.status == states.RUNNING))


def _stalled(world: World, exchange: Exchange) -> None:
    spans = {"stalled 11 min": timedelta(minutes=11), "stalled 3 h": timedelta(hours=3)}
    for words, span in spans.items():
        if words in exchange.name:
            with world.server.run.database.connection_context():
                Job.update(last_progress_at=world.server.clock() - span).where(Job.status == states.RUNNING).execute()


def _archive_where_named(world: World, exchange: Exchange) -> None:
    """An archive that stood in for one left out lies in the repository that a path names with it."""
    named = {ref.kind: ref for ref in refs(exchange.path)}
    if {"repositories", "archives"} <= named.keys():
        archive, repository = world.ours(named["archives"]), world.ours(named["repositories"])
        with world.server.run.database.connection_context():
            Archive.update(repository=repository).where(Archive.id == archive).execute()


def _seed_jobs(world: World) -> None:
    """The rows of the note, as the recorded answers show them; jobs that were active before have ended."""
    world.end_jobs(Job.status.in_(states.ACTIVE))
    with world.server.run.database.connection_context():
        Job.update(status=states.COMPLETED).execute()
    plan, client = world.ours(Ref("plans", 1)), world.ours(Ref("clients", 1))
    repository = world.ours(Ref("repositories", 1))
    for number in SEEDED:
        queued = SEED_START + timedelta(minutes=number - SEEDED[0] + 1)
        status = SEED_STATES[number % len(SEED_STATES)]
        ended = status in ENDED
        with world.server.run.database.connection_context():
            job = Job.create(
                client=client, plan=plan, repository=repository, task_type="backup", status=status,
                files_total=15000, files_processed=15000, bytes_total=5 * 2**30, bytes_processed=5 * 2**30,
                duration_seconds=342 if ended else None, queued_at=queued, started_at=queued + timedelta(seconds=5),
                completed_at=queued + timedelta(seconds=347) if ended else None,
                error_log="Connection closed by remote host" if status == "failed" else None,
            )  # fmt: skip
        world.ids[Ref("jobs", number)] = job.id


def created(exchange: Exchange) -> Iterator[tuple[str, Ref]]:
    """The objects an answer brings, by the key of their id."""
    kind = collection(exchange.path)
    if exchange.status == 201 and kind and "id" in exchange.answer:
        yield "id", Ref(kind, exchange.answer["id"])
    for key, other in (("job_id", "jobs"), ("archive_id", "archives")):
        if exchange.answer.get(key):
            yield key, Ref(other, exchange.answer[key])


def _by_administrator(exchange: Exchange) -> bool:
    return exchange.headers.get("Authorization") == "Bearer TOKEN"
