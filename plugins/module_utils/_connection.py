# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that every module shares: where the server is and how to talk to it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Collection, Mapping

from ansible.module_utils.basic import env_fallback

from ansible_collections.borgfleet.bbs.plugins.module_utils._errors import InvalidOption

CONNECTION_OPTIONS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "fallback": (env_fallback, ["BBS_URL"])},
    "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["BBS_TOKEN"])},
    "token_file": {"type": "path", "no_log": False, "fallback": (env_fallback, ["BBS_TOKEN_FILE"])},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "timeout": {"type": "int", "default": 30},
    "retries": {"type": "int", "default": 3},
}

API_ROOT = "/api/v1"


@dataclass(frozen=True)
class Connection:
    """A server and the way to it.

    :param url: root of the server, without ``/api/v1`` and without a slash at the end
    :param verify: what ``requests`` calls ``verify``: a switch, or the path of a CA bundle
    :param cert: certificate file, or certificate and key files, that prove who the caller is
    :param timeout: seconds to wait for an answer
    :param retries: how often a request is repeated after a failure that may pass
    """

    url: str
    token: str = field(repr=False)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    timeout: int = 30
    retries: int = 3

    @classmethod
    def from_options(cls, options: Mapping[str, Any], given: Collection[str]) -> Connection:
        """Read the connection options of a task.

        :param given: names of the options that the task itself sets; these win over environment variables
        :raises InvalidOption: something is missing or malformed
        """
        verify: bool | str = options["validate_certs"]
        if verify and options["ca_path"]:
            verify = options["ca_path"]
        cert: str | tuple[str, str] | None = options["client_cert"]
        if options["client_key"]:
            if not cert:
                raise InvalidOption("client_key belongs to a certificate: set client_cert as well.")
            cert = (str(cert), options["client_key"])
        for name in ("ca_path", "client_cert", "client_key"):
            if options[name] and not os.path.exists(options[name]):
                raise InvalidOption(f"{name}: there is no file {options[name]}.")
        if options["timeout"] < 1:
            raise InvalidOption("timeout must be at least 1 second.")
        if options["retries"] < 0:
            raise InvalidOption("retries must not be negative.")
        return cls(
            url=_root(options["url"]),
            token=_token(options, given),
            verify=verify,
            cert=cert,
            timeout=options["timeout"],
            retries=options["retries"],
        )


def _root(url: str | None) -> str:
    root = (url or "").strip().rstrip("/")
    if not root:
        raise InvalidOption("Which server? Set url, or the environment variable BBS_URL.")
    if "@" in root:
        raise InvalidOption("url must not hold a user or a password: servers take a token, see token and token_file.")
    if not root.lower().startswith(("http://", "https://")):
        raise InvalidOption(f"url must start with http:// or https://, but it is {root}.")
    return root[: -len(API_ROOT)] if root.endswith(API_ROOT) else root


def _token(options: Mapping[str, Any], given: Collection[str]) -> str:
    """The token, or the content of the token file; what the task itself sets goes first."""
    path = options["token_file"]
    file_first = "token_file" in given and "token" not in given
    if options["token"] and not (path and file_first):
        return _usable(str(options["token"]).strip(), "token")
    if not path:
        raise InvalidOption(
            "No API token: set token or token_file, or the environment variable BBS_TOKEN or BBS_TOKEN_FILE. "
            "The module bbs_token makes one."
        )
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidOption(f"Cannot read the token file {path}: {reason}.") from error
    if not token:
        raise InvalidOption(f"The token file {path} is empty.")
    return _usable(token, f"The content of {path}")


def _usable(token: str, source: str) -> str:
    """A token fit for a header; what is not would end up quoted in some library's message."""
    if not re.fullmatch("[!-~]+", token):
        raise InvalidOption(f"{source} is not a token: it must be one line without blanks.")
    return token
