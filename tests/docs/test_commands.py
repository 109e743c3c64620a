# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/cli.md lists every command, argument and option of the programs, and no others."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import click
import pytest

from bbs_agent.__main__ import _parser
from bbs_server import cli
from bbs_server.commands import bbs_token

from .paths import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
ARGUMENTS = (ROOT / "server" / "bbs_agent" / "installer" / "arguments.bash").read_text(encoding="utf-8")
Commands = dict[str, set[str]]


def listed(heading: str) -> Commands:
    """Command with its arguments, and its options, as a section of the page lists them."""
    section = re.split(r"^## ", PAGE.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (`?)([a-z][\w -]*)\1 \| (.*?) ?\|", section, re.MULTILINE)
    return {command: set(re.findall(r"`(--[a-z-]+)", options)) for _, command, options in rows}


def of_click(group: click.Group, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from of_click(command, f"{prefix}{name} ")
            continue
        arguments = [str(one.name).upper() for one in command.params if isinstance(one, click.Argument)]
        options = {one.opts[-1] for one in command.params if isinstance(one, click.Option)}
        yield " ".join([f"{prefix}{name}", *arguments]), options


@pytest.mark.parametrize(("program", "group"), [("`bbs-server`", cli.cli), ("`bbs-token`", bbs_token.cli)])
def test_the_servers_programs(program: str, group: click.Group) -> None:
    assert listed(program) == dict(of_click(group))


def test_the_agent() -> None:
    (commands,) = (one for one in _parser()._actions if isinstance(one, argparse._SubParsersAction))
    taken = {
        name: {one.option_strings[-1] for one in command._actions if one.dest != "help"}
        for name, command in commands.choices.items()
    }
    assert listed("`bbs-agent`") == taken


def test_the_installer() -> None:
    taken = {
        name for names in re.findall(r"^ +(--[a-z -|]+)\)", ARGUMENTS, re.MULTILINE) for name in names.split(" | ")
    }
    assert set.union(*listed("The installer").values()) == taken - {"-h"}
