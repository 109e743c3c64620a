# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""File catalogues: what agents send becomes something to browse and to search, and goes with its archive."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bbs_server.catalogue import Catalogue, CatalogueError, Entry, Position, write
from bbs_server.models import Archive, Job
from bbs_server.services import catalogues

from . import backups
from .conftest import Server

SENT: tuple[dict[str, Any], ...] = (
    {"path": "/etc", "status": "D", "size": 0, "mtime": "2026-01-02 03:04:05"},
    {"path": "/etc/hosts", "status": "U", "size": 20, "mtime": None},
    {"path": "/etc/passwd", "status": "A", "size": 100, "mtime": "2026-01-01 00:00:00"},
    {"path": "/etc/ssl/private/key.pem", "status": "A", "size": 5, "mtime": None},
    {"path": "/home/Grüße ☃/100%_sure.txt", "status": "M", "size": 7, "mtime": None},
    {"path": "/home/left-out", "status": "X", "size": 1, "mtime": None},
)


def stream(entries: Any = SENT) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


@pytest.fixture
def plan(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> dict[str, Any]:
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    created: dict[str, Any] = server.post(f"/clients/{client['id']}/plans", body | {"frequency": "manual"})
    return created


@pytest.fixture
def path(client: dict[str, Any], repository: dict[str, Any]) -> str:
    return f"/clients/{client['id']}/repositories/{repository['id']}"


def folder(server: Server, client: dict[str, Any]) -> Path:
    return server.run.settings.storage / str(client["id"]) / ".catalog"


def files(server: Server, client: dict[str, Any]) -> list[str]:
    return sorted(file.suffix for file in folder(server, client).iterdir())


def back_up(server: Server, client: dict[str, Any], plan: dict[str, Any], content: bytes | None) -> int:
    """A backup whose agent has streamed its catalogue through the gate; the id of its archive."""
    job = server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")["job_id"]
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    backups.create(server.run.settings.storage / str(client["id"]) / "main", task["archive_name"])
    if content is not None:
        folder(server, client).mkdir(exist_ok=True)
        (folder(server, client) / f"catalog-{job}.jsonl").write_bytes(content)
    report = {"job_id": job, "result": "completed", "archive_name": task["archive_name"], "files_processed": 5}
    archive: int = server.agent("POST", "/status", client["api_key"], report).json["archive_id"]
    return archive


def test_an_archive_can_be_browsed_and_searched(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    archive = back_up(server, client, plan, stream())
    listing = f"{path}/archives/{archive}/files"
    assert server.get(listing)["catalog"] == {"status": "pending"}
    server.work()

    root = server.get(listing)
    assert (root["path"], [entry["dir_path"] for entry in root["dirs"]], root["files"]) == ("/", ["/etc", "/home"], [])
    etc = server.get(f"{listing}?path=/etc")
    assert etc == {
        "path": "/etc/",
        "dirs": [{"dir_path": "/etc/ssl", "dir_name": "ssl", "mtime": None}],
        "files": [
            {"file_path": "/etc/hosts", "file_name": "hosts", "file_size": 20, "status": "U", "mtime": None},
            {
                "file_path": "/etc/passwd", "file_name": "passwd", "file_size": 100, "status": "A",
                "mtime": "2026-01-01 00:00:00",
            },
        ],
        "next_cursor": None,
        "catalog": {"status": "ready"},
    }  # fmt: skip
    assert server.get(f"{listing}?path=/home/Gr%C3%BC%C3%9Fe%20%E2%98%83/")["files"][0]["file_name"] == "100%_sure.txt"
    assert server.call("GET", f"{listing}?path=/nowhere").status_code == 404

    search = f"/clients/{client['id']}/catalog/search"
    (found,) = server.get(f"{search}?q=PASSWD")["results"]
    assert (found["file_path"], found["archive_id"]) == ("/etc/passwd", archive)
    assert [entry["file_path"] for entry in server.get(f"{search}?q=ssl/private")["results"]] == [
        "/etc/ssl/private/key.pem"
    ]
    assert [entry["file_name"] for entry in server.get(f"{search}?q=0%25_")["results"]] == ["100%_sure.txt"]
    assert server.get(f"{search}?q=left-out")["results"] == []
    assert files(server, client) == [".sqlite"]


def test_long_directories_come_in_pages(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    names = [f"/d/{number:03}" for number in range(25)]
    directories = [{"path": f"/d/sub{number}", "status": "d", "size": 0} for number in range(3)]
    archive = back_up(server, client, plan, stream([*({"path": name, "status": "A"} for name in names), *directories]))
    server.work()
    seen: list[str] = []
    cursor = ""
    while True:
        page = server.get(f"{path}/archives/{archive}/files?path=/d&limit=10{cursor}")
        seen += [entry["dir_path"] for entry in page["dirs"]] + [entry["file_path"] for entry in page["files"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [*(f"/d/sub{number}" for number in range(3)), *names]
    for bad in ("x", "bnVsbA==", "WzEsMl0="):
        reply = server.call("GET", f"{path}/archives/{archive}/files?path=/d&cursor={bad}")
        assert (reply.status_code, reply.json["error"][:7]) == (400, "cursor:")
    found = server.get(f"/clients/{client['id']}/catalog/search?q=/d/0&limit=7")
    assert (len(found["results"]), found["truncated"]) == (7, True)


def test_the_search_begins_with_the_newest_archive(
    server: Server, client: dict[str, Any], plan: dict[str, Any], repository: dict[str, Any]
) -> None:
    old = back_up(server, client, plan, stream())
    server.work()
    server.clock.forward(hours=1)
    new = back_up(server, client, plan, stream())
    server.work()
    search = f"/clients/{client['id']}/catalog/search?q=hosts"

    assert [entry["archive_id"] for entry in server.get(search)["results"]] == [new, old]
    assert [entry["archive_id"] for entry in server.get(f"{search}&archive_id={old}")["results"]] == [old]
    assert server.get(f"{search}&repository_id=999")["results"] == []
    assert server.call("GET", f"/clients/{client['id']}/catalog/search?q=%20").status_code == 400
    assert server.call("GET", f"/clients/{client['id']}/catalog/search").status_code == 400
    other = server.post("/clients", {"name": "other"})
    foreign = server.get(f"/clients/{other['id']}/catalog/search?q=hosts&archive_id={old}")
    assert foreign == {"results": [], "truncated": False, "catalog": {"status": "unavailable"}}


NASTY = (
    b'{"path": "/good", "status": "A", "size": 1}\n'
    b'not json\n[]\n{"path": 5}\n{"path": ["x"]}\n{"size": 5}\n{"path": ""}\n{"path": "/"}\n{"path": "a\\u0000b"}\n'
    b'{"path": "/lone\\udc80", "status": "A", "size": -5, "mtime": "never"}\n'
    b'{"path": "/huge", "status": null, "size": 99999999999999999999}\n'
    + b'{"path": "/' + b"x" * 200_000 + b'"}\n'
    + b'{"path": "' + b"/d" * 2000 + b'"}\n'
    + b"[" * 100_000 + b"\n"
    b'{"path": "../../up", "status": "A"}\n'
    b'{"path": "/good", "status": "M", "size": 2}\n{"path": "/cut off'
)  # fmt: skip


def test_a_stream_of_anything_costs_only_its_bad_lines(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    archive = back_up(server, client, plan, NASTY)
    server.work()

    page = server.get(f"{path}/archives/{archive}/files")
    listed = {entry["file_path"]: entry["file_size"] for entry in page["files"]}
    assert listed == {"/good": 2, "/lone?": 0, "/huge": 2**63 - 1}
    assert [entry["dir_path"] for entry in page["dirs"]] == ["/.."]


def test_catalogues_go_with_their_archive_and_orphans_later(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    server.work()
    kept, lost = back_up(server, client, plan, stream()), 0
    server.work()
    server.clock.forward(hours=1)
    lost = back_up(server, client, plan, stream())
    server.work()
    assert files(server, client) == [".sqlite", ".sqlite"]
    server.call("DELETE", f"{path}/archives/{lost}")
    server.work()
    assert files(server, client) == [".sqlite"]

    young, old, cut_off = (folder(server, client) / name for name in ("catalog-77.jsonl", "catalog-78.jsonl", "x.part"))
    for file in (young, old, cut_off):
        file.touch()
    a_day_ago = server.clock().timestamp() - 25 * 3600
    os.utime(old, (a_day_ago, a_day_ago))
    os.utime(cut_off, (a_day_ago, a_day_ago))
    os.utime(young, (server.clock().timestamp(), server.clock().timestamp()))
    (sqlite,) = folder(server, client).glob("*.sqlite")
    os.utime(sqlite, (a_day_ago, a_day_ago))
    with server.run.database.connection_context():
        assert catalogues.remove_orphans(server.run) == 2
    assert sorted(file.name for file in folder(server, client).iterdir()) == sorted([sqlite.name, young.name])
    assert server.get(f"{path}/archives/{kept}/files")["catalog"] == {"status": "ready"}


def test_a_lost_stream_is_made_up_for_from_borgs_own_list(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    archive = back_up(server, client, plan, None)
    server.work()
    assert server.get(f"{path}/archives/{archive}/files")["catalog"] == {"status": "unavailable"}

    queued = server.post(f"{path}/catalog/sync")
    assert queued["task_type"] == "catalog_rebuild"
    server.work()

    assert backups.job(server, queued["job_id"])["status"] == "completed"
    found = server.get(f"/clients/{client['id']}/catalog/search?q=backups.py")["results"]
    assert [(entry["file_name"], entry["file_size"]) for entry in found] == [
        ("backups.py", Path(backups.__file__).stat().st_size)
    ]
    (before,) = folder(server, client).iterdir()
    server.post(f"{path}/catalog/sync", {"full": True})
    server.work()
    (after,) = folder(server, client).iterdir()
    assert before.name != after.name


def test_an_archive_that_nobody_reported_is_found(
    server: Server, client: dict[str, Any], plan: dict[str, Any], repository: dict[str, Any], path: str
) -> None:
    """Its agent was killed after borg had finished; the late report then completes the record."""
    job = server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")["job_id"]
    (task,) = server.agent("GET", "/tasks", client["api_key"]).json["tasks"]
    backups.create(backups.directory(server, repository), task["archive_name"])
    with server.run.database.connection_context():
        Job.update(status="failed").where(Job.id == job).execute()
    server.post(f"{path}/check")
    server.work()

    (found,) = server.get(f"{path}/archives")["archives"]
    assert (found["name"], found["file_count"]) == (task["archive_name"], 1)
    assert found["original_size"] > 0
    report = {"job_id": job, "result": "completed", "archive_name": task["archive_name"], "files_processed": 9}
    assert server.agent("POST", "/status", client["api_key"], report).json["archive_id"] == found["id"]
    assert server.get(f"{path}/archives")["archives"][0]["file_count"] == 9
    with server.run.database.connection_context():
        assert Archive.get_by_id(found["id"]).plan_id == plan["id"]


def test_older_agents_send_their_list_over_http(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    archive = back_up(server, client, plan, None)
    parts = [{"archive_id": archive, "files": list(SENT[:2])}, {"archive_id": archive, "files": list(SENT[2:])}]

    def send(body: Any, key: str = client["api_key"]) -> Any:
        return server.agent("POST", "/catalog", key, body)

    assert send(parts[0]).json == {"status": "ok", "inserted": 2}
    assert send(parts[1] | {"done": True}).json == {"status": "ok", "inserted": 3}
    assert len(server.get(f"{path}/archives/{archive}/files?path=/etc")["files"]) == 2
    assert files(server, client) == [".sqlite"]
    other = server.post("/clients", {"name": "other"})
    assert send(parts[0], other["api_key"]).status_code == 404
    assert send({"archive_id": archive}).status_code == 400
    assert send({"archive_id": archive, "files": ["x"]}).status_code == 400


def test_a_broken_catalogue_is_an_error_with_a_way_out(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str
) -> None:
    archive = back_up(server, client, plan, stream())
    server.work()
    (file,) = folder(server, client).iterdir()
    file.write_bytes(b"no database")

    for request in (f"{path}/archives/{archive}/files", f"/clients/{client['id']}/catalog/search?q=a"):
        reply = server.call("GET", request)
        assert (reply.status_code, "rebuilt" in reply.json["error"]) == (500, True)


def test_a_catalogue_that_cannot_be_written_costs_nothing_else(
    server: Server, client: dict[str, Any], plan: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = back_up(server, client, plan, stream())

    def full(target: Path, entries: Any) -> None:
        target.write_bytes(b"half")
        raise CatalogueError("The catalogue could not be written (database or disk is full).")

    with monkeypatch.context() as patched:
        patched.setattr("bbs_server.catalogue.write", full)
        server.work()
        job = server.post(f"{path}/catalog/sync")["job_id"]
        server.work()
    assert files(server, client) == [".jsonl"]
    assert "disk is full" in backups.job(server, job)["error_log"]
    assert server.get(f"{path}/archives/{archive}/files")["catalog"] == {"status": "unavailable"}


def test_readers_may_look_but_not_rebuild(server: Server, client: dict[str, Any], path: str) -> None:
    token = server.mint("reader", scope="read")

    assert server.call("POST", f"{path}/catalog/sync", token=token).status_code == 403
    assert server.call("GET", f"/clients/{client['id']}/catalog/search?q=x", token=token).status_code == 200


def test_a_hundred_thousand_files_are_found_in_a_small_file(tmp_path: Path) -> None:
    """The size is what this is about: some 50 bytes for each file of an archive."""
    count, file = 100_000, tmp_path / "catalogue"
    entries = (Entry(f"/srv/{number // 1000}/file-{number}.dat", True, "U", number, None) for number in range(count))

    write(file, entries)

    assert file.stat().st_size < 60 * count
    page = Catalogue(file).directory("/srv/7", limit=3, after=Position(True, "file-7500.dat"))
    assert page is not None
    assert [entry.name for entry in page] == ["file-7501.dat", "file-7502.dat", "file-7503.dat"]
    (found,) = Catalogue(file).search("FILE-54321.", limit=2)
    assert (found.path, found.size) == ("/srv/54/file-54321.dat", 54321)
    with pytest.raises(CatalogueError):
        Catalogue(tmp_path / "missing").search("x", limit=1)
