# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3: the server's credentials, links of repositories, and the copies themselves (admin-api.md §5.2, §6, §7)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bbs_server.models import Job
from bbs_server.s3 import S3Error, Upload
from bbs_server.services import audit, jobs, s3_sync

from . import backups
from .conftest import Server
from .s3_storage import BUCKET, REGION, Storage, running_storage

PATH = "/s3-credentials"


@pytest.fixture(scope="module")
def running() -> Iterator[Storage]:
    with running_storage() as storage:
        yield storage


@pytest.fixture
def storage(running: Storage) -> Iterator[Storage]:
    yield running
    running.empty()


@pytest.fixture
def credentials(storage: Storage) -> dict[str, Any]:
    return {
        "endpoint": storage.endpoint,
        "region": REGION,
        "bucket": BUCKET,
        "path_prefix": "/all of it/",
        "access_key": storage.access_key,
        "secret_key": storage.secret_key,
    }


@pytest.fixture
def config(server: Server, client: dict[str, Any], credentials: dict[str, Any]) -> dict[str, Any]:
    """An s3_sync configuration that uses the server's credentials."""
    server.post(PATH, credentials)
    body = {"plugin": "s3_sync", "name": "offsite", "config": {"path_prefix": "web", "storage_class": "STANDARD_IA"}}
    created: dict[str, Any] = server.post(f"/clients/{client['id']}/plugin-configs", body)
    return created


def test_credentials_are_stored_sealed_and_shown_to_few(server: Server, credentials: dict[str, Any]) -> None:
    empty = {"endpoint": "", "region": "", "bucket": "", "path_prefix": ""}
    assert server.get(PATH) == {**empty, "configured": False}

    stored = server.post(PATH, credentials)
    assert stored["status"] == "ok"
    assert set(stored["fields"]) == set(credentials)
    assert server.get(PATH) == {
        "endpoint": credentials["endpoint"],
        "region": REGION,
        "bucket": BUCKET,
        "path_prefix": "/all of it/",
        "configured": True,
    }
    assert server.call("GET", f"{PATH}?include_secrets=1").status_code == 403
    token = server.mint("secrets", can_read_secrets=True)
    assert server.get(f"{PATH}?include_secrets=1", token=token)["secret_key"] == credentials["secret_key"]
    assert credentials["secret_key"] not in server.call("GET", "/log").text
    database = Path(server.run.settings.database.removeprefix("sqlite:///"))
    stored_bytes = b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*"))
    assert credentials["secret_key"].encode() not in stored_bytes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"endpoint": ""}, "endpoint: is required"),
        ({"endpoint": "ftp://x"}, "endpoint: must be a URL"),
        ({"endpoint": "http://a b"}, "endpoint: must be a URL"),
        ({"region": " "}, "region: is required"),
        ({"bucket": None}, "bucket: must not be null."),
        ({"access_key": {}}, "access_key: must be text."),
        ({"secret_key": "a\nb"}, "secret_key: must be plain characters"),
        ({"secret_key": "s" * 501}, "secret_key: must have at most 500"),
    ],
)
def test_bad_credentials_are_refused(
    server: Server, credentials: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    reply = server.call("POST", PATH, {**credentials, **changes})

    assert reply.status_code == 400
    assert told in reply.json["error"]
    assert credentials["access_key"] not in reply.text
    assert server.get(PATH)["configured"] is False


def test_a_failure_in_the_middle_keeps_what_was(
    server: Server, credentials: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.post(PATH, credentials)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)
    assert server.call("POST", PATH, {**credentials, "bucket": "other"}).status_code == 500
    assert server.call("DELETE", PATH).status_code == 500
    assert server.get(PATH)["bucket"] == "backups"


def test_a_configuration_is_tested_by_the_server(
    server: Server, client: dict[str, Any], config: dict[str, Any], credentials: dict[str, Any], storage: Storage
) -> None:
    path = f"/clients/{client['id']}/plugin-configs/{config['id']}/test"

    worked = server.call("POST", path)
    assert (worked.status_code, worked.json["status"]) == (200, "completed")
    assert storage.objects() == {}

    server.post(PATH, {**credentials, "secret_key": "another"})
    refused = server.call("POST", path)
    assert (refused.status_code, refused.json["status"]) == (502, "failed")
    assert "answered 403 (SignatureDoesNotMatch)" in refused.json["error"]
    server.call("DELETE", PATH)
    assert "no S3 credentials" in server.call("POST", path).json["error"]


def test_a_configuration_may_have_its_own_credentials(
    server: Server, client: dict[str, Any], credentials: dict[str, Any]
) -> None:
    path = f"/clients/{client['id']}/plugin-configs"
    values = {"credential_source": "custom", **credentials}
    good = server.post(path, {"plugin": "s3_sync", "name": "good", "config": values})
    dead = server.post(
        path, {"plugin": "s3_sync", "name": "dead", "config": {**values, "endpoint": "http://127.0.0.1:9"}}
    )

    assert server.call("POST", f"{path}/{good['id']}/test").status_code == 200
    reply = server.call("POST", f"{path}/{dead['id']}/test")
    assert reply.status_code == 502
    assert "127.0.0.1:9 cannot be reached" in reply.json["error"]


def test_a_repository_is_linked_copied_and_kept_equal(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any], storage: Storage
) -> None:
    link = f"/repositories/{repository['id']}/s3-sync"
    switched = server.call("PUT", link, {"enabled": True, "plugin_config_id": config["id"]})
    assert switched.json == {"id": repository["id"], "name": "main", "s3_sync_enabled": True}
    path = f"/clients/{client['id']}/repositories"
    assert server.get(path)["repositories"][0]["s3_sync_enabled"] is True

    def synchronised() -> bool:
        folder = backups.directory(server, repository)
        here = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        prefix = f"all of it/web/{client['id']}/main/"
        return {key.removeprefix(prefix): body for key, body in storage.objects().items()} == here

    kept, lost = (backups.make_archive(server, repository, name) for name in ("plan1-a", "plan1-b"))
    server.post(f"{path}/{repository['id']}/maintenance", {"action": "compact"})
    server.work()
    assert synchronised()
    assert storage.storage_classes() == {"STANDARD_IA"}
    assert server.get(path)["repositories"][0]["s3_last_sync_at"] == "2026-11-23 12:00:00"

    server.call("DELETE", f"{path}/{repository['id']}/archives/{lost}")
    server.post(f"{path}/{repository['id']}/maintenance", {"action": "compact"})
    server.work()
    assert synchronised()
    assert [row["id"] for row in server.get(f"{path}/{repository['id']}/archives")["archives"]] == [kept]


def test_a_repository_that_is_missing_here_does_not_empty_its_copy(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any], storage: Storage
) -> None:
    server.call("PUT", f"/repositories/{repository['id']}/s3-sync", {"enabled": True, "plugin_config_id": config["id"]})
    path = f"/clients/{client['id']}/repositories/{repository['id']}"
    server.post(f"{path}/maintenance", {"action": "compact"})
    server.work()
    copied = storage.objects()
    assert copied

    job_id = backups.add_job(server, client["id"], task_type="s3_sync", status="queued", repository=repository["id"])
    folder = backups.directory(server, repository)
    folder.rename(folder.with_name("unmounted"))
    server.work()

    assert "missing on this server" in backups.job(server, job_id)["error_log"]
    assert storage.objects() == copied


def sync(server: Server, client: dict[str, Any], repository: dict[str, Any]) -> Any:
    """One copying; its job."""
    job_id = backups.add_job(server, client["id"], task_type="s3_sync", status="queued", repository=repository["id"])
    server.work()
    return backups.job(server, job_id)


@pytest.fixture
def linked(server: Server, repository: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The repository, which is to be copied."""
    server.call("PUT", f"/repositories/{repository['id']}/s3-sync", {"enabled": True, "plugin_config_id": config["id"]})
    return repository


def test_a_copy_cut_off_in_the_middle_goes_on_and_can_be_restored_from(
    server: Server,
    client: dict[str, Any],
    linked: dict[str, Any],
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lies in the bucket is a borg repository: any tool that downloads it will do."""
    place = backups.directory(server, linked)
    backups.borg("config", str(place), "max_segment_size", "600000")
    (tmp_path / "data").write_bytes(os.urandom(2_000_000))
    backups.borg("create", f"{place}::plan1-a", str(tmp_path / "data"))
    segments = sum(1 for file in (place / "data").rglob("*") if file.is_file())
    assert segments > 3
    put, sent = Upload.put, 0

    def cut_off(self: Upload, key: str, file: Path) -> None:
        nonlocal sent
        sent += 1
        if sent == 3:
            raise S3Error("The line is dead.")
        put(self, key, file)

    with monkeypatch.context() as patched:
        patched.setattr(Upload, "put", cut_off)
        assert sync(server, client, linked)["error_log"] == "The line is dead."
    half = storage.objects()
    assert (len(half), any("/data/" not in key for key in half)) == (2, False)

    done = sync(server, client, linked)

    assert done["status"] == "completed", done["error_log"]
    everything = sum(1 for file in place.rglob("*") if file.is_file())
    assert done["logs"][0]["message"].startswith(f"{everything - 2} files were sent and 0 deleted;")
    restored, prefix = tmp_path / "restored", f"all of it/web/{client['id']}/main/"
    for key, content in storage.objects().items():
        target = restored / key.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    backups.borg("check", str(restored))
    name = str(tmp_path / "data").lstrip("/")
    digest = backups.borg("list", "--format", "{sha256}", f"{restored}::plan1-a", name)
    assert digest == hashlib.sha256((tmp_path / "data").read_bytes()).hexdigest()


def test_a_copy_that_somebody_else_changes_is_not_called_complete(
    server: Server,
    client: dict[str, Any],
    linked: dict[str, Any],
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = Upload.put

    def meddled_with(self: Upload, key: str, file: Path) -> None:
        put(self, key, file)
        storage.client.put_object(Bucket=BUCKET, Key=key, Body=b"x")

    with monkeypatch.context() as patched:
        patched.setattr(Upload, "put", meddled_with)
        failed = sync(server, client, linked)
    assert (failed["status"], "is not what was sent" in failed["error_log"]) == ("failed", True)
    assert sync(server, client, linked)["status"] == "completed"


def test_a_cancelled_copy_stops_between_two_files(
    server: Server,
    client: dict[str, Any],
    linked: dict[str, Any],
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = backups.add_job(server, client["id"], task_type="s3_sync", status="queued", repository=linked["id"])
    put = Upload.put

    def cancelled_meanwhile(self: Upload, key: str, file: Path) -> None:
        put(self, key, file)
        jobs.cancel(server.run, Job.get_by_id(job_id))

    monkeypatch.setattr(Upload, "put", cancelled_meanwhile)
    server.work()

    job = backups.job(server, job_id)
    assert (job["status"], job["duration_seconds"]) == ("cancelled", 0)
    assert len(storage.objects()) == 1


def test_a_limit_is_understood() -> None:
    told = {"": None, "0": None, "x": None, "500": 500, "10k": 10_240, "10M": 10 * 2**20, "1.5M": None, "2GB": 2**31}
    assert {text: s3_sync._per_second(text) for text in told} == told


def test_a_backup_is_followed_by_a_copy(
    server: Server,
    client: dict[str, Any],
    repository: dict[str, Any],
    config: dict[str, Any],
    credentials: dict[str, Any],
) -> None:
    server.call("PUT", f"/repositories/{repository['id']}/s3-sync", {"enabled": True, "plugin_config_id": config["id"]})
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    job = server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")
    server.agent("GET", "/tasks", client["api_key"])
    server.agent("POST", "/status", client["api_key"], {"job_id": job["job_id"], "result": "completed"})

    assert [row["task_type"] for row in server.get("/queue")["queue"]] == ["prune", "s3_sync"]
    server.post(PATH, {**credentials, "secret_key": "another"})
    server.work()
    failed = next(row for row in server.get("/queue")["recent"] if row["task_type"] == "s3_sync")
    assert failed["status"] == "failed"
    assert "answered 403" in backups.job(server, failed["id"])["error_log"]


def test_links_are_checked(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any]
) -> None:
    link = f"/repositories/{repository['id']}/s3-sync"
    other = server.post("/clients", {"name": "other"})
    foreign = server.post(f"/clients/{other['id']}/plugin-configs", {"plugin": "s3_sync", "name": "x", "config": {}})
    hook = server.post(f"/clients/{client['id']}/plugin-configs", {"plugin": "shell_hook", "name": "h", "config": {}})

    for body, told in (
        ({}, "enabled: is required."),
        ({"enabled": "perhaps"}, "enabled: must be true or false."),
        ({"enabled": True}, "plugin_config_id: no S3 destination is linked"),
        ({"enabled": True, "plugin_config_id": "x"}, "plugin_config_id: must be a whole number"),
        ({"enabled": True, "plugin_config_id": 999}, "plugin_config_id: the client has no s3_sync"),
        ({"enabled": True, "plugin_config_id": foreign["id"]}, "plugin_config_id: the client has no s3_sync"),
        ({"enabled": True, "plugin_config_id": hook["id"]}, "plugin_config_id: the client has no s3_sync"),
    ):
        reply = server.call("PUT", link, body)
        assert reply.status_code == 400
        assert told in reply.json["error"]
    assert server.call("PUT", "/repositories/999/s3-sync", {"enabled": True}).status_code == 404


def test_a_link_holds_its_configuration_and_ends_with_the_credentials(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any]
) -> None:
    link = f"/repositories/{repository['id']}/s3-sync"
    server.call("PUT", link, {"enabled": True, "plugin_config_id": config["id"]})
    path = f"/clients/{client['id']}/plugin-configs/{config['id']}"

    refused = server.call("DELETE", path)
    assert (refused.status_code, refused.json["reason"]) == (409, "repositories_attached")
    assert refused.json["repositories"] == [{"id": repository["id"], "name": "main"}]

    assert server.call("DELETE", PATH).json == {"status": "ok", "disabled_repositories": 1}
    assert server.get("/repositories")["repositories"][0]["s3_sync_enabled"] is False
    assert server.call("PUT", link, {"enabled": True}).json["s3_sync_enabled"] is True
    assert server.call("DELETE", f"/clients/{client['id']}/repositories/{repository['id']}").status_code == 200
    assert server.call("DELETE", path).status_code == 204


def test_a_client_with_a_link_can_be_deleted(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any]
) -> None:
    server.call("PUT", f"/repositories/{repository['id']}/s3-sync", {"enabled": True, "plugin_config_id": config["id"]})

    assert server.call("DELETE", f"/clients/{client['id']}").status_code == 200
