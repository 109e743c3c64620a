# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of a repository in S3-compatible storage (admin-api.md §7)."""

from __future__ import annotations

from bbs_server.backup_plugins import rules
from bbs_server.backup_plugins.schema import ABORT_ON_FAILURE, Option, Plugin

_CUSTOM = {"credential_source": "custom"}

PLUGIN = Plugin(
    identifier=6,
    slug="s3_sync",
    name="S3 sync",
    description="Copies the repository to S3-compatible storage after backup and prune.",
    plugin_type="post_backup",
    fields={
        "credential_source": Option(
            kind="select",
            label="Credentials",
            default="global",
            options={"global": "The server's own", "custom": "Given here"},
        ),
        "endpoint": Option(kind="text", label="Endpoint URL", show_when=_CUSTOM, rule=rules.storage_url),
        "region": Option(kind="text", label="Region", default="us-east-1", show_when=_CUSTOM, rule=rules.plain),
        "bucket": Option(kind="text", label="Bucket", required=True, show_when=_CUSTOM, rule=rules.plain),
        "access_key": Option(
            kind="text", label="Access key", required=True, sensitive=True, show_when=_CUSTOM, rule=rules.plain
        ),
        "secret_key": Option(
            kind="text", label="Secret key", required=True, sensitive=True, show_when=_CUSTOM, rule=rules.plain
        ),
        "storage_class": Option(
            kind="select",
            label="Storage class",
            default="",
            show_when=_CUSTOM,
            options={
                "": "The bucket's default",
                "STANDARD": "Standard",
                "STANDARD_IA": "Standard, infrequent access",
                "ONEZONE_IA": "One zone, infrequent access",
                "INTELLIGENT_TIERING": "Intelligent tiering",
                "GLACIER_IR": "Glacier, instant retrieval",
                "DEEP_ARCHIVE": "Deep archive",
            },
        ),
        "sse_mode": Option(
            kind="select",
            label="Encryption at rest",
            default="",
            show_when=_CUSTOM,
            options={"": "The bucket's default", "AES256": "S3 keys", "aws:kms": "KMS keys"},
        ),
        "path_prefix": Option(kind="text", label="Path prefix", default=""),
        "bandwidth_limit": Option(
            kind="text", label="Bandwidth limit", default="", help="Such as 10M; empty: none.", rule=rules.bandwidth
        ),
        "abort_on_failure": ABORT_ON_FAILURE,
    },
)
