# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3 storage on the loopback address: moto's server, which checks signatures like the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import requests

REGION = "eu-central-1"
BUCKET = "backups"

_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


# A process of its own: two of moto's servers in one process share what is stored, even one after the other.
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@dataclass
class Storage:
    """The storage, with one user who may do everything."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def client(self) -> Any:
        """A client of the user."""
        return _client("s3", self.endpoint, self.access_key, self.secret_key)

    def objects(self) -> dict[str, bytes]:
        """All there is in the bucket."""
        listed = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        client = self.client
        return {row["Key"]: client.get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read() for row in listed}

    def storage_classes(self) -> set[str]:
        """The classes of all objects."""
        return {row["StorageClass"] for row in self.client.list_objects_v2(Bucket=BUCKET)["Contents"]}

    def empty(self) -> None:
        """Leave nothing in the bucket."""
        for key in self.objects():
            self.client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def running_storage() -> Iterator[Storage]:
    """Running storage with an empty bucket."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout
        endpoint = server.stdout.readline().strip()
        identities = _client("iam", endpoint, "first", "first")
        identities.create_user(UserName="server")
        identities.put_user_policy(UserName="server", PolicyName="all", PolicyDocument=json.dumps(_EVERYTHING))
        made = identities.create_access_key(UserName="server")["AccessKey"]
        # From now on every request needs a signature.
        assert requests.post(f"{endpoint}/moto-api/reset-auth", data="0", timeout=30).ok
        storage = Storage(endpoint, made["AccessKeyId"], made["SecretAccessKey"])
        storage.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield storage


def _client(service: str, endpoint: str, access_key: str, secret_key: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
