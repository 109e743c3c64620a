# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/clients`` (admin-api.md §5.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, jsonify
from marshmallow import Schema, fields

from bbs_server.api.http import Blueprint, Flag, Message, Page, Text, Whole, done, listing
from bbs_server.api.plans import PlanShown
from bbs_server.api.plugin_configs import PluginConfigShown
from bbs_server.api.repositories import RepositoryShown
from bbs_server.auth import principal, requires
from bbs_server.clock import wire
from bbs_server.runtime import runtime
from bbs_server.services import agent_keys, client_lists, clients, plans, repositories

blueprint = Blueprint("clients", __name__, description="Machines that are backed up")

LONGEST_OVERLAP_HOURS = 24 * 30


class ClientSummary(Schema):
    """A client as it stands in lists."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    hostname = fields.String(allow_none=True)
    ip_address = fields.String(allow_none=True)
    os_info = fields.String(allow_none=True)
    borg_version = fields.String(allow_none=True)
    agent_version = fields.String(allow_none=True)
    status = fields.String(metadata={"enum": ["setup", "online", "offline"]})
    last_heartbeat = fields.String(allow_none=True)
    registered_at = fields.String(
        allow_none=True, metadata={"description": "When an agent came with the present key for the first time."}
    )
    created_at = fields.String()
    owner = fields.String(allow_none=True)
    client_profile_id = fields.Integer(allow_none=True)
    client_profile_name = fields.String(allow_none=True)
    stale = fields.Boolean(metadata={"description": "A plan has not succeeded for longer than it may."})
    never_backed_up = fields.Boolean(metadata={"description": "No plan has ever succeeded."})


class ClientShown(ClientSummary):
    """A client with what belongs to it."""

    api_key = fields.String(allow_none=True)
    key_expires_at = fields.String(
        allow_none=True, metadata={"description": "When the key expires unless an agent registers with it."}
    )
    repositories = fields.List(fields.Nested(RepositoryShown))
    plans = fields.List(fields.Nested(PlanShown))


class ListedClient(ClientSummary):
    """A client in the list of all, with those of its own lists that are asked for."""

    repositories = fields.List(fields.Nested(RepositoryShown))
    plugin_configs = fields.List(fields.Nested(PluginConfigShown))
    plans = fields.List(fields.Nested(PlanShown))


class ClientList(Schema):
    """All clients."""

    clients = fields.List(fields.Nested(ListedClient))


class ClientFilter(Page):
    """How the list can be narrowed."""

    name = Text(metadata={"description": "Only the client of exactly this name."})
    include = Text(
        metadata={
            "description": "What of each client to list beside it: repositories, plugin_configs, plans, with commas."
        }
    )


class ClientName(Schema):
    """What a new client needs."""

    name = Text(required=True)


class ClientChange(Schema):
    """What can be changed."""

    name = Text()


class ClientCreated(Schema):
    """A new client; its key is shown this once, or until the agent has registered."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    api_key = fields.String(required=True)
    status = fields.String(required=True)
    install_command = fields.String(required=True)


class ClientKey(Schema):
    """A new agent key."""

    id = fields.Integer(required=True)
    api_key = fields.String(required=True)
    install_command = fields.String(required=True)


class Installation(Schema):
    """How to install the agent; null once it has registered."""

    command = fields.String(allow_none=True)
    api_key = fields.String(allow_none=True)
    server_url = fields.String(allow_none=True)
    os_hint = fields.String()
    status = fields.String()


class KeyRotation(Schema):
    """How an agent key is replaced."""

    overlap_hours = Whole(
        most=LONGEST_OVERLAP_HOURS,
        metadata={"description": "How long the old key works on, at most until the new one is used; 0: it ends now."},
    )


class Force(Schema):
    """Whether to delete in spite of active jobs."""

    force = Flag(load_default=False)


@blueprint.route("/clients", methods=["GET"])
@requires("read", any_user=True)
@blueprint.query(ClientFilter)
@blueprint.response(200, ClientList)
def list_clients(query: dict[str, Any]) -> Response:
    """All clients by name."""
    wanted = client_lists.named(query.get("include"))
    found = clients.listed(runtime(), principal(), query.get("name"), limit=query["limit"], offset=query["offset"])
    # Passing the rows through their schema would take as long as reading them (docs/adr/0012-replies.md).
    return listing("clients", (client_lists.added(runtime(), some, wanted) for some in found))


@blueprint.route("/clients", methods=["POST"])
@requires("provision")
@blueprint.body(ClientName)
@blueprint.response(201, ClientCreated)
def create_client(body: dict[str, Any]) -> dict[str, Any]:
    """Register a machine."""
    return clients.create(runtime(), body["name"])


@blueprint.route("/clients/<id:client_id>", methods=["GET"])
@requires("read", any_user=True)
@blueprint.response(200, ClientShown)
def get_client(client_id: int) -> Response:
    """One client with its repositories and plans."""
    client = clients.find(principal(), client_id)
    key = agent_keys.readable(runtime(), client) if principal().may_see_agent_keys else None
    shown = clients.shown(runtime(), client) | {
        "api_key": key,
        "key_expires_at": wire(client.key_expires_at),
        "repositories": repositories.listed(client),
        "plans": plans.listed(runtime(), client),
    }
    return jsonify(shown)


@blueprint.route("/clients/<id:client_id>", methods=["PUT"])
@requires("provision")
@blueprint.body(ClientChange)
@blueprint.response(200, Message)
def update_client(body: dict[str, Any], client_id: int) -> dict[str, str]:
    """Rename a client."""
    client = clients.find(principal(), client_id)
    clients.require_change(body)
    clients.rename(runtime(), client, body["name"])
    return done("Client updated")


@blueprint.route("/clients/<id:client_id>", methods=["DELETE"])
@requires("provision")
@blueprint.query(Force)
@blueprint.response(200, Message)
def delete_client(query: dict[str, Any], client_id: int) -> dict[str, str]:
    """Remove a client with its plans and repositories; their data goes to the trash."""
    client = clients.find(principal(), client_id)
    clients.delete(runtime(), client, force=query["force"])
    return done(f'Client "{client.name}" deleted')


@blueprint.route("/clients/<id:client_id>/install", methods=["GET"])
@requires("provision")
@blueprint.response(200, Installation)
def get_installation(client_id: int) -> dict[str, Any]:
    """The command that installs the agent, while its key can still be read."""
    return clients.installation(runtime(), clients.find(principal(), client_id))


@blueprint.route("/clients/<id:client_id>/rotate-key", methods=["POST"])
@requires("provision")
@blueprint.body(KeyRotation)
@blueprint.response(200, ClientKey)
def rotate_key(body: dict[str, Any], client_id: int) -> dict[str, Any]:
    """Replace the agent key; the old one stops working at once, or when the overlap ends."""
    overlap = timedelta(hours=body.get("overlap_hours", 0))
    return clients.rotate_key(runtime(), clients.find(principal(), client_id), overlap)
