# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage locations over the API (admin-api.md §5.7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bbs_server.models import StorageLocation
from bbs_server.services import audit

from . import backups
from .conftest import Server


def gate_list(server: Server) -> list[str]:
    """What the gate believes."""
    return (server.run.settings.ssh_directory / "locations").read_text().splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "second disk"
    made.mkdir()
    return made


@pytest.fixture
def location(server: Server, folder: Path) -> dict[str, Any]:
    created: dict[str, Any] = server.post("/storage", {"label": "Second", "path": f"{folder}/"})
    return created


def test_a_location_is_created_listed_and_told_to_the_gate(
    server: Server, folder: Path, location: dict[str, Any]
) -> None:
    assert location == {"id": location["id"], "label": "Second", "path": str(folder), "is_default": False}
    listed = server.get("/storage")["local"]
    assert [(row["name"], row["is_default"]) for row in listed] == [("Default", 1), ("Second", 0)]
    assert gate_list(server) == [str(server.run.settings.storage), str(folder)]


def test_a_repository_in_a_second_location_works(
    server: Server, client: dict[str, Any], folder: Path, location: dict[str, Any]
) -> None:
    body = {"name": "main", "storage_location_id": location["id"]}
    created = server.post(f"/clients/{client['id']}/repositories", body)

    place = folder / str(client["id"]) / "main"
    assert created["path"] == f"ssh://bbs@bbs.example//{str(place).lstrip('/')}"
    assert '"encryption"' in backups.borg("info", "--json", str(place), passphrase=created["passphrase"])
    # The same name in the default location is another repository.
    assert server.call("POST", f"/clients/{client['id']}/repositories", {"name": "main"}).status_code == 201
    job_id = server.post(f"/clients/{client['id']}/repositories/{created['id']}/check")["job_id"]
    server.work()
    assert backups.job(server, job_id)["status"] == "completed"


def test_a_failed_creation_leaves_no_folder_in_the_location(
    server: Server, client: dict[str, Any], folder: Path, location: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)
    body = {"name": "main", "encryption": "none", "storage_location_id": location["id"]}

    assert server.call("POST", f"/clients/{client['id']}/repositories", body).status_code == 500
    assert list(folder.iterdir()) == []


def test_only_one_location_is_the_default(
    server: Server, client: dict[str, Any], folder: Path, location: dict[str, Any]
) -> None:
    changed = server.call("PUT", f"/storage/{location['id']}", {"label": "Big", "is_default": True}).json
    assert (changed["name"], changed["is_default"]) == ("Big", True)

    assert [row["is_default"] for row in server.get("/storage")["local"]] == [1, 0]
    server.post(f"/clients/{client['id']}/repositories", {"name": "main", "encryption": "none"})
    assert (folder / str(client["id"]) / "main").is_dir()


def test_a_label_is_given_once(server: Server, folder: Path, location: dict[str, Any]) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    asked = [("POST", "/storage", {"label": "Second", "path": str(elsewhere)})]
    asked += [("PUT", f"/storage/{location['id']}", {"label": "Default"})]
    for method, path, body in asked:
        reply = server.call(method, path, body)
        assert (reply.status_code, reply.json["reason"]) == (409, "name_taken"), reply.json
    assert server.call("PUT", f"/storage/{location['id']}", {"label": "Second"}).status_code == 200
    assert [row["name"] for row in server.get("/storage")["local"]] == ["Default", "Second"]


def test_stated_capacity(server: Server, location: dict[str, Any]) -> None:
    path = f"/storage/{location['id']}"
    assert server.call("PUT", path, {"capacity_bytes": 10**12}).json["capacity_bytes"] == 10**12
    assert server.get("/storage")["local"][1]["capacity_source"] == "stated"
    for cleared in (0, None):
        server.call("PUT", path, {"capacity_bytes": 10**12})
        assert server.call("PUT", path, {"capacity_bytes": cleared}).json["capacity_bytes"] is None


def test_capacity_of_the_default_location(server: Server) -> None:
    found = server.get("/storage/capacity", token=server.mint("reader", scope="read"))

    assert set(found) == {"provisioned_bytes", "used_bytes", "free_bytes"}
    assert found["provisioned_bytes"] > found["free_bytes"] > 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "label: is required"),
        ({"label": "x"}, "path: is required"),
        ({"label": "", "path": "/tmp"}, "label: is required"),
        ({"label": "x", "path": ""}, "path: is required"),
        ({"label": "x", "path": "relative"}, "path: must be an absolute path"),
        ({"label": "x", "path": "/no/such/place"}, "path: must be an existing directory"),
        ({"label": "x", "path": "/etc/passwd"}, "path: must be an existing directory"),
        ({"label": "x", "path": "/" + "n" * 300}, "path: must be an existing directory"),
        ({"label": "x", "path": "/tmp\n/etc"}, "path: must be an absolute path without line breaks"),
        ({"label": "x", "path": "/tmp/a::b"}, "path: must not hold ::"),
        ({"label": "x", "path": "/tmp/{now}"}, "path: must not hold ::"),
        ({"label": "x", "path": "/n" * 201}, "path: must have at most 400"),
        ({"label": "x", "path": ["/tmp"]}, "path: must be text."),
        ({"label": {}, "path": "/tmp"}, "label: must be text."),
        ({"label": "l" * 101, "path": "/tmp"}, "label: must have at most 100"),
        ({"label": "x", "path": "/tmp", "is_default": "maybe"}, "is_default: must be true or false."),
    ],
)
def test_a_bad_location_is_refused(server: Server, body: Any, told: str) -> None:
    reply = server.call("POST", "/storage", body)

    assert reply.status_code == 400
    assert told in reply.json["error"]
    assert len(server.get("/storage")["local"]) == 1


def test_the_same_at_once_is_created_once(server: Server, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    body = {"label": "x", "path": str(folder)}

    def ask(_: int) -> int:
        return server.app.test_client().post("/api/v1/storage", headers=headers, json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(ask, range(8)))

    assert answers == [201] + [409] * 7
    assert gate_list(server) == [str(server.run.settings.storage), str(folder)]


def test_locations_do_not_overlap(server: Server, folder: Path, location: dict[str, Any]) -> None:
    inside, link = folder / "inside", folder.parent / "link"
    inside.mkdir()
    link.symlink_to(folder)

    for path in (folder, inside, folder.parent, link, "/"):
        reply = server.call("POST", "/storage", {"label": "x", "path": str(path)})
        assert (reply.status_code, reply.json["reason"]) == (409, "path_taken"), path


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 422, "No fields to update"),
        ({"path": "/tmp"}, 422, "path: cannot be changed"),
        ({"label": " "}, 422, "label: must not be empty"),
        ({"label": None}, 400, "label: must not be null"),
        ({"capacity_bytes": -1}, 400, "capacity_bytes: must be a whole number"),
        ({"capacity_bytes": 2**63}, 400, "capacity_bytes: must be a whole number"),
        ({"capacity_bytes": "much"}, 400, "capacity_bytes: must be a whole number"),
    ],
)
def test_a_bad_change_is_refused(server: Server, location: dict[str, Any], body: Any, status: int, told: str) -> None:
    reply = server.call("PUT", f"/storage/{location['id']}", body)

    assert reply.status_code == status
    assert told in reply.json["error"]


def test_the_default_stays_until_there_is_another(server: Server) -> None:
    (default,) = server.get("/storage")["local"]
    path = f"/storage/{default['id']}"

    assert server.call("PUT", path, {"is_default": False}).status_code == 422
    assert server.call("DELETE", path).status_code == 409


def test_deletion_leaves_the_data(
    server: Server, client: dict[str, Any], folder: Path, location: dict[str, Any]
) -> None:
    repositories, path = f"/clients/{client['id']}/repositories", f"/storage/{location['id']}"
    body = {"name": "main", "encryption": "none", "storage_location_id": location["id"]}
    created = server.post(repositories, body)

    refused = server.call("DELETE", path)
    assert (refused.status_code, refused.json["repositories"]) == (409, ["main"])

    server.call("DELETE", f"{repositories}/{created['id']}?keep_data=1")
    reply = server.call("DELETE", path)
    assert reply.json == {"status": "ok", "deleted": location["id"], "data_removed": False}
    assert (folder / str(client["id"]) / "main" / "config").is_file()
    assert gate_list(server) == [str(server.run.settings.storage)]
    assert server.call("DELETE", path).status_code == 404


def test_the_first_location_stays(server: Server, location: dict[str, Any]) -> None:
    first = server.get("/storage")["local"][0]
    server.call("PUT", f"/storage/{location['id']}", {"is_default": True})

    reply = server.call("DELETE", f"/storage/{first['id']}")

    assert (reply.status_code, reply.json["reason"]) == (409, "home")


@pytest.mark.parametrize(
    "failing", ["bbs_server.services.audit.record", "bbs_server.services.storage.publish_locations"]
)
def test_a_failure_in_the_middle_leaves_nothing(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(failing, fail)

    assert server.call("POST", "/storage", {"label": "x", "path": str(folder), "is_default": True}).status_code == 500
    with server.run.database.connection_context():
        assert [row.is_default for row in StorageLocation.select()] == [True]
    assert gate_list(server) == [str(server.run.settings.storage)]


def test_rights(server: Server, location: dict[str, Any]) -> None:
    reader = server.mint("reader", scope="provision")

    assert server.call("GET", "/storage", token=reader).status_code == 200
    assert server.call("POST", "/storage", {}, token=reader).status_code == 403
    assert server.call("PUT", f"/storage/{location['id']}", {}, token=reader).status_code == 403
    assert server.call("DELETE", f"/storage/{location['id']}", token=reader).status_code == 403
