# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real ``ansible-playbook`` runs against a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROVISIONING = """
- hosts: all
  gather_facts: false
  tasks:
    - borgfleet.bbs.bbs_client:
        name: "{{ inventory_hostname }}"
      no_log: true
    - borgfleet.bbs.bbs_repository:
        client: "{{ inventory_hostname }}"
        name: main
        encryption: none
    - borgfleet.bbs.bbs_plan:
        client: "{{ inventory_hostname }}"
        name: daily
        repository: main
        directories: [/etc]
        times: ["02:00"]
"""
"""A playbook that backs every host up; more tasks can follow."""


def start_playbook(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Run ``play.yml`` in a folder; what it says comes from its standard output."""
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "ansible-playbook"), *arguments, "play.yml"],
        cwd=folder,
        env=os.environ | {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_NOCOLOR": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_playbook(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The same to its end: exit code, and what it said."""
    with start_playbook(folder, *arguments, **environment) as process:
        said = process.communicate()[0]
    return process.returncode, said
