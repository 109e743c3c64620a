# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings: what a file may say, and that the documentation says the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from bbs_server.settings import Settings, SettingsError

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "bbs-server.toml"
    file.write_text(text)
    return Settings.load(file)


def test_an_empty_file_is_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, "")

    assert settings.directory == tmp_path
    assert settings.url == "http://127.0.0.1:8080"
    assert settings.database == f"sqlite:///{tmp_path}/bbs.sqlite"
    assert settings.storage == tmp_path / "repositories"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("listen_prot = 1", "Unknown setting 'listen_prot'"),
        ('listen_port = "8080"', "'listen_port' must be a whole number"),
        ("listen_port = -1", "'listen_port' must be a whole number"),
        ("listen_port = 65536", "'listen_port' must be a whole number from 1 to 65535"),
        ("lease_seconds = 1", "'lease_seconds' must be a whole number from 5 to 100000"),
        ('server_url = "backup.example.com"', "'server_url' must be a URL such as https://backup.example.com"),
        ('server_url = "https://me@backup.example.com"', "'server_url' must be a URL"),
        ('server_host = "https://backup.example.com"', "'server_host' must be a host name or an address"),
        ('server_host = ""', "'server_host' must be a host name or an address"),
        ("web_processes = 0", "'web_processes' must be a whole number from 1 to 1000"),
        ("trash_days = 999_999_999", "'trash_days' must be a whole number from 0 to 100000"),
        ("listen_port = true", "'listen_port' must be a whole number"),
        ("private_sshd = 1", "'private_sshd' must be true or false"),
        ("ssh_host_key_files = [1]", "'ssh_host_key_files' must be a list of texts"),
        ("directory = 1", "'directory' must be text"),
        ("= broken", "is not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Cannot read the settings file .*nowhere\.toml: No such file"):
        Settings.load(tmp_path / "nowhere.toml")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(tmp_path, "").listen_port = 1  # type: ignore[misc]


def test_the_page_lists_every_setting_with_its_default_and_no_other() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| [\w ]+ \| (.+?) \|", PAGE.read_text(), re.MULTILINE))
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}

    assert list(documented) == list(fields)
    for name, default in fields.items():
        shown = documented[name].strip("`")
        expected = {"": "empty", "()": "[]", repr(dataclasses.MISSING): "the file's folder"}
        text = str(default).lower() if isinstance(default, bool) else str(default)
        assert shown == expected.get(text, text), name
