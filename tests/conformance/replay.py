# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends the recorded requests to our server, in order, and collects how its answers differ."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import TestResponse

from bbs_server.services import tokens

from . import left_out
from .catalogue import Ref, caller, refs
from .compare import NOTHING, Comparison, Difference
from .recordings import Exchange
from .world import World

SECONDS_BETWEEN_CHANGES = 1


def replay(world: World, exchanges: list[Exchange], nullable: frozenset[str]) -> list[Difference]:
    """All differences over all lines."""
    found: list[Difference] = []
    for exchange in exchanges:
        if exchange.method != "GET":
            world.server.clock.forward(seconds=SECONDS_BETWEEN_CHANGES)
        world.making = exchange.status not in (401, 403, 404)
        world.never_queued.clear()
        left_out.catch_up(world, exchange)
        found += [Difference(exchange.name, f"job {task_type}", NOTHING) for task_type in world.never_queued]
        with left_out.surroundings(world, exchange):
            reply = _send(world, exchange)
        answer = reply.get_json(silent=True)
        _learn(world, exchange, reply.status_code, answer)
        comparison = Comparison(exchange, world.same, nullable)
        found += comparison.differences(reply.status_code, answer, bool(reply.data))
    return found


def _send(world: World, exchange: Exchange) -> TestResponse:
    agent = caller(exchange)
    if agent:
        world.ours(Ref("clients", agent))
    headers = {name: _credentials(world, exchange, value) for name, value in exchange.headers.items()}
    options: dict[str, Any] = {"json": world.body(exchange.body)} if exchange.body is not None else {}
    if exchange.raw_body is not None:
        # Bytes that are not UTF-8 were recorded as the characters of the same number.
        encoding = "latin-1" if "ÿ" in exchange.raw_body else "utf-8"
        options = {"data": exchange.raw_body.encode(encoding)}
    return world.server.http.open(world.path(exchange.path), method=exchange.method, headers=headers, **options)


def _credentials(world: World, exchange: Exchange, value: str) -> str:
    """A header with our tokens. A full one that no word stands for was minted, later revoked, by lines left out."""
    full = re.search(r"bbs_tok_[0-9a-f]{48}", value)
    if full:
        with world.server.run.database.connection_context():
            if exchange.worked and full[0] not in world.words:
                run = world.server.run
                world.words[full[0]] = tokens.create(run, tokens.administrator(), full[0])[1]
            elif not exchange.worked:
                tokens.revoke_named(world.server.run, full[0])
    return world.text(value)


def _learn(world: World, exchange: Exchange, status: int, answer: Any) -> None:
    """Note what the line created and deleted, here and there."""
    worked = status < 400
    if exchange.worked and isinstance(exchange.answer, dict):
        for key, ref in left_out.created(exchange):
            if worked and isinstance(answer, dict) and answer.get(key):
                world.bind(ref, answer[key])
            elif key == "id":
                world.refused.add(ref)
    if exchange.method == "DELETE" and exchange.worked and worked:
        for ref in refs(exchange.path)[-1:]:
            world.forget(ref)
    if not exchange.worked and worked:
        left_out.undo(world, exchange, answer)
