# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3: the server's credentials, links of repositories, and the copies themselves (admin-api.md §5.2, §6, §7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bbs_server.s3 import EMPTY, Bucket
from bbs_server.services import audit

from . import backups
from .conftest import Server
from .fake_s3 import FakeS3, fake_s3

PATH = "/s3-credentials"


@pytest.fixture
def storage() -> Iterator[FakeS3]:
    with fake_s3() as running:
        yield running


@pytest.fixture
def credentials(storage: FakeS3) -> dict[str, Any]:
    return {
        "endpoint": storage.endpoint,
        "region": "eu-1",
        "bucket": "backups",
        "path_prefix": "/all of/it/",
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


def test_the_signature_is_that_of_the_published_example() -> None:
    # "GET Object" in AWS' documentation of signature version 4.
    bucket = Bucket(
        endpoint="https://examplebucket.s3.amazonaws.com",
        region="us-east-1",
        name="",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    now = datetime(2013, 5, 24, tzinfo=UTC)
    host = "examplebucket.s3.amazonaws.com"

    signed = bucket.signed("GET", host, "/test.txt", "", {"Range": "bytes=0-9"}, EMPTY, now)

    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    assert "wJalr" not in repr(bucket)


def test_credentials_are_stored_sealed_and_shown_to_few(server: Server, credentials: dict[str, Any]) -> None:
    empty = {"endpoint": "", "region": "", "bucket": "", "path_prefix": ""}
    assert server.get(PATH) == {**empty, "configured": False}

    stored = server.post(PATH, credentials)
    assert stored["status"] == "ok"
    assert set(stored["fields"]) == set(credentials)
    assert server.get(PATH) == {
        "endpoint": credentials["endpoint"],
        "region": "eu-1",
        "bucket": "backups",
        "path_prefix": "/all of/it/",
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
    server: Server, client: dict[str, Any], config: dict[str, Any], storage: FakeS3
) -> None:
    path = f"/clients/{client['id']}/plugin-configs/{config['id']}/test"

    worked = server.call("POST", path)
    assert (worked.status_code, worked.json["status"]) == (200, "completed")
    assert storage.objects == {}

    storage.secret_key = "another"
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
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any], storage: FakeS3
) -> None:
    link = f"/repositories/{repository['id']}/s3-sync"
    switched = server.call("PUT", link, {"enabled": True, "plugin_config_id": config["id"]})
    assert switched.json == {"id": repository["id"], "name": "main", "s3_sync_enabled": True}
    path = f"/clients/{client['id']}/repositories"
    assert server.get(path)["repositories"][0]["s3_sync_enabled"] is True

    def synchronised() -> bool:
        folder = backups.directory(server, repository)
        here = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        prefix = f"backups/all of/it/web/{client['id']}/main/"
        return {key.removeprefix(prefix): body for key, body in storage.objects.items()} == here

    kept, lost = (backups.make_archive(server, repository, name) for name in ("plan1-a", "plan1-b"))
    server.post(f"{path}/{repository['id']}/maintenance", {"action": "compact"})
    server.work()
    assert synchronised()
    assert {headers["x-amz-storage-class"] for headers in storage.headers.values()} == {"STANDARD_IA"}
    assert server.get(path)["repositories"][0]["s3_last_sync_at"] == "2026-11-23 12:00:00"

    server.call("DELETE", f"{path}/{repository['id']}/archives/{lost}")
    server.post(f"{path}/{repository['id']}/maintenance", {"action": "compact"})
    server.work()
    assert synchronised()
    assert [row["id"] for row in server.get(f"{path}/{repository['id']}/archives")["archives"]] == [kept]


def test_a_repository_that_is_missing_here_does_not_empty_its_copy(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any], storage: FakeS3
) -> None:
    server.call("PUT", f"/repositories/{repository['id']}/s3-sync", {"enabled": True, "plugin_config_id": config["id"]})
    path = f"/clients/{client['id']}/repositories/{repository['id']}"
    server.post(f"{path}/maintenance", {"action": "compact"})
    server.work()
    copied = dict(storage.objects)
    assert copied

    job_id = backups.add_job(server, client["id"], task_type="s3_sync", status="queued", repository=repository["id"])
    folder = backups.directory(server, repository)
    folder.rename(folder.with_name("unmounted"))
    server.work()

    assert "missing on this server" in backups.job(server, job_id)["error_log"]
    assert storage.objects == copied


def test_a_backup_is_followed_by_a_copy(
    server: Server, client: dict[str, Any], repository: dict[str, Any], config: dict[str, Any], storage: FakeS3
) -> None:
    server.call("PUT", f"/repositories/{repository['id']}/s3-sync", {"enabled": True, "plugin_config_id": config["id"]})
    body = {"name": "p", "repository_id": repository["id"], "directories": "/etc"}
    plan = server.post(f"/clients/{client['id']}/plans", body)
    job = server.post(f"/clients/{client['id']}/plans/{plan['id']}/trigger")
    server.agent("GET", "/tasks", client["api_key"])
    server.agent("POST", "/status", client["api_key"], {"job_id": job["job_id"], "result": "completed"})

    assert [row["task_type"] for row in server.get("/queue")["queue"]] == ["prune", "s3_sync"]
    storage.secret_key = "another"
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
