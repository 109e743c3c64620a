# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3-compatible storage, by way of boto3: signatures, retries and uploads in parts are its business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60

ATTEMPTS = 4
"""How often a request is made that the storage does not answer, or answers with an error of its own."""

_PARTS_AT_ONCE = 4
_AWS = ".amazonaws.com"


class S3Error(Exception):
    """The storage cannot be reached or refuses; the message is one sentence without secrets."""


@dataclass(frozen=True)
class Bucket:
    """A bucket and the keys to it.

    :param endpoint: URL of the storage; a name without a scheme means https.
    """

    endpoint: str
    region: str
    name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    def list(self, prefix: str) -> dict[str, int]:
        """The size of every object whose key begins with the prefix.

        :raises S3Error: unreachable or refused.
        """
        with self._explaining():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}

    @contextmanager
    def uploading(self, options: Mapping[str, str], bytes_per_second: int | None = None) -> Iterator[Upload]:
        """For storing files, as fast as allowed, over all files together.

        :param options: such as ``StorageClass``; for every file.
        :param bytes_per_second: None: as fast as it goes.
        """
        from boto3.s3.transfer import TransferConfig, create_transfer_manager

        config = TransferConfig(max_concurrency=_PARTS_AT_ONCE, max_bandwidth=bytes_per_second)
        with self._explaining(), create_transfer_manager(self._client, config) as manager:
            yield Upload(self, manager, dict(options))

    def delete(self, key: str) -> None:
        """Remove an object; no error when there is none.

        :raises S3Error: unreachable or refused.
        """
        with self._explaining():
            self._client.delete_object(Bucket=self.name, Key=key)

    @cached_property
    def _client(self) -> Any:
        # Imported when it is needed: it takes half a second and 30 MB, which no other process is to spend.
        import boto3
        from botocore.config import Config

        url = self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"
        config = Config(
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # Buckets as host names are for those who have a DNS zone for them.
            s3={"addressing_style": "auto" if _AWS in url else "path"},
            # Other makers' storages do not all know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        host = self.endpoint.rpartition("://")[2].partition("/")[0]
        try:
            yield
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "with an error")
            code = error.response.get("Error", {}).get("Code", "")
            told = f" ({code})" if code and code != str(status) else ""
            raise S3Error(f"The storage at {host} answered {status}{told}.") from error
        except (BotoCoreError, Boto3Error, ValueError) as error:
            raise S3Error(f"The storage at {host} cannot be reached ({type(error).__name__}).") from error


@dataclass(frozen=True)
class Upload:
    """Files on their way into a bucket; see :meth:`Bucket.uploading`."""

    bucket: Bucket
    manager: Any
    options: dict[str, str]

    def put(self, key: str, file: Path) -> None:
        """Store a file.

        :raises S3Error: unreachable or refused.
        """
        with self.bucket._explaining():
            self.manager.upload(str(file), self.bucket.name, key, extra_args=self.options).result()
