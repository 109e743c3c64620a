# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/api/agent``: registration, polls and reports (agent-protocol.md §5)."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, validate

from bbs_server.api.http import LARGEST_ID, LARGEST_SIZE, Array, Blueprint, Flag, Object, Text, Whole
from bbs_server.auth import agent, presented_key, requires_agent
from bbs_server.runtime import runtime
from bbs_server.services import agents, archives, catalogues

blueprint = Blueprint("agent", __name__, description="What agents call")

LONGEST_REPORT = 1_000_000
"""Characters taken from a report's texts; what is kept is less (``services.agents``)."""

LONGEST_LISTING = 6_000_000
"""Characters of a directory's listing: 20,000 entries with long names."""

RESULTS = ("completed", "failed", "cataloging", "abandoned")


class Facts(Schema):
    """What an agent tells of its machine; over-long values are cut."""

    hostname = Text(maximum=LONGEST_REPORT, allow_none=True)
    ip_address = Text(maximum=LONGEST_REPORT, allow_none=True)
    mac_address = Text(maximum=LONGEST_REPORT, allow_none=True)
    os_info = Text(maximum=LONGEST_REPORT, allow_none=True)
    agent_version = Text(maximum=LONGEST_REPORT, allow_none=True)
    borg_version = Text(maximum=LONGEST_REPORT, allow_none=True)
    borg_install_method = Text(
        allow_none=True,
        validate=validate.OneOf(
            ("package", "binary", "pip", "unknown"), error="must be package, binary, pip or unknown."
        ),
    )
    borg_source = Text(
        allow_none=True,
        validate=validate.OneOf(("official", "server", "unknown"), error="must be official, server or unknown."),
    )
    borg_binary_path = Text(maximum=LONGEST_REPORT, allow_none=True)
    glibc_version = Text(maximum=LONGEST_REPORT, allow_none=True)
    platform = Text(maximum=LONGEST_REPORT, allow_none=True)
    architecture = Text(maximum=LONGEST_REPORT, allow_none=True)
    auto_update_enabled = Flag(allow_none=True)


class Registration(Facts):
    """The facts, and whether the agent takes a key of its own for the one it was installed with."""

    exchange_key = Flag(allow_none=True)


class _Counters(Schema):
    job_id = Whole(required=True, least=1, most=LARGEST_ID)
    attempt = Whole(allow_none=True, metadata={"description": "As the task said; an earlier attempt changes nothing."})
    files_total = Whole(most=LARGEST_SIZE, allow_none=True)
    files_processed = Whole(most=LARGEST_SIZE, allow_none=True)
    bytes_total = Whole(most=LARGEST_SIZE, allow_none=True)
    bytes_processed = Whole(most=LARGEST_SIZE, allow_none=True)


class Progress(_Counters):
    """A report on a job in work."""

    status_message = Text(maximum=LONGEST_REPORT, allow_none=True)
    log_message = Text(maximum=LONGEST_REPORT, allow_none=True)
    log_level = Text(
        allow_none=True,
        validate=validate.OneOf(agents.LOG_LEVELS, error="must be info, warning or error."),
    )


class Status(_Counters):
    """The last report on a job."""

    result = Text(required=True, validate=validate.OneOf(RESULTS, error=f"must be one of {', '.join(RESULTS)}."))
    original_size = Whole(most=LARGEST_SIZE, allow_none=True)
    deduplicated_size = Whole(most=LARGEST_SIZE, allow_none=True)
    archive_name = Text(
        allow_none=True,
        validate=validate.Regexp(
            r"[^/{}\x00-\x1f\x7f]{0,255}\Z",
            error="must be a name borg takes as it stands: at most 255 characters, no slashes, no braces.",
        ),
    )
    error_log = Text(maximum=LONGEST_REPORT, allow_none=True)
    output_log = Text(maximum=LONGEST_LISTING, allow_none=True)
    task_result = Text(maximum=LONGEST_REPORT, allow_none=True)
    had_warnings = Flag(allow_none=True)
    databases_backed_up = Object(allow_none=True)


class FileList(Schema):
    """A part of an archive's file list, as agents sent it before they had the stream over SSH."""

    archive_id = Whole(required=True, least=1, most=LARGEST_ID)
    files = Array(Object(), of="files", required=True)
    done = Flag(load_default=False)


@blueprint.route("/register", methods=["POST"])
@requires_agent
@blueprint.body(Registration)
def register(body: dict[str, Any]) -> dict[str, Any]:
    """Sent at every start of an agent."""
    exchange = bool(body.pop("exchange_key", False))
    return agents.register(runtime(), agent(), body, presented_key(), exchange=exchange)


@blueprint.route("/info", methods=["POST"])
@requires_agent
@blueprint.body(Facts)
def info(body: dict[str, Any]) -> dict[str, Any]:
    """Sent when something about the machine has changed."""
    agents.note_facts(runtime(), agent(), body)
    return {"status": "ok"}


@blueprint.route("/ssh-key", methods=["GET"])
@requires_agent
def ssh_key() -> dict[str, Any]:
    """The key for the repositories."""
    return agents.ssh_key(runtime(), agent())


@blueprint.route("/tasks", methods=["GET"])
@requires_agent
def tasks() -> dict[str, Any]:
    """The poll."""
    return agents.poll(runtime(), agent())


@blueprint.route("/heartbeat", methods=["POST"])
@requires_agent
def heartbeat() -> dict[str, Any]:
    """Sent while a task runs."""
    return agents.heartbeat(runtime(), agent())


@blueprint.route("/progress", methods=["POST"])
@requires_agent
@blueprint.body(Progress)
def progress(body: dict[str, Any]) -> dict[str, Any]:
    """A report on a job in work."""
    return agents.progress(runtime(), agent(), body)


@blueprint.route("/status", methods=["POST"])
@requires_agent
@blueprint.body(Status)
def status(body: dict[str, Any]) -> dict[str, Any]:
    """The last report on a job."""
    return agents.status(runtime(), agent(), body)


@blueprint.route("/catalog", methods=["POST"])
@requires_agent
@blueprint.body(FileList)
def catalog(body: dict[str, Any]) -> dict[str, Any]:
    """A part of an archive's file list; the last one says that it is."""
    archive = archives.of_client(agent(), body["archive_id"])
    inserted = catalogues.upload(runtime(), archive, body["files"], done=body["done"])
    return {"status": "ok", "inserted": inserted}
