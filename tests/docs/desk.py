# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a reader of the guides sits: a folder, a server that runs, and hosts that Ansible reaches."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ..integration.live_server import LiveServer
from .blocks import Block, blocks, missing

_FOREIGN = re.compile("ANSIBLE_(?!COLLECTIONS_PATH)|BBS_|VIRTUAL_ENV")
_PROGRAMS = Path(sys.executable).parent
TIMEOUT_SECONDS = 180


class TlsServer(LiveServer):
    """The bundled server with a certificate that is its own authority, as far as readers can tell like any other."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.directory / "tls.pem"

    def begin(self, **settings: int | str) -> None:
        key = self.directory / "tls.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run([*command, "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        super().begin(tls_certificate=str(self.certificate), tls_key=str(key), **settings)


@dataclass
class Desk:
    """The reader's folder. The inventory's hosts are all this machine, each with an agent in a folder of its own."""

    folder: Path
    server: TlsServer
    elsewhere: dict[str, str]
    """How the guides reach what is neither the server nor a host, as environment variables."""
    hosts: dict[str, Any]
    """More variables of all hosts."""
    _read: set[Path] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def furnish(self) -> None:
        """Put there what a reader has before the first guide: token, authority, and how hosts are reached."""
        own = self.home / ".config" / "bbs"
        own.mkdir(parents=True)
        (own / "token").write_text(self.server.mint("ansible") + "\n")
        (own / "token").chmod(0o600)
        (own / "ca.crt").write_bytes(self.server.certificate.read_bytes())
        variables = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "bbs_agent_prefix": f"{self.folder}/hosts/{{{{ inventory_hostname }}}}",
            "restore_folder": f"{self.folder}/restored",
            "database_dumps": f"{self.folder}/dumps",
            **self.hosts,
        }
        (self.folder / "group_vars" / "all").mkdir(parents=True)
        (self.folder / "group_vars" / "all" / "machine.yml").write_text(yaml.safe_dump(variables))

    def read(self, page: Path) -> None:
        """Do what a page says, once."""
        if page in self._read:
            return
        self._read.add(page)
        printed, script = "", "\n".join(block.text for block in blocks(page) if block.mark == "run")
        for block in blocks(page):
            if block.file:
                target = self.folder / block.file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
                by_molecule = block.file.startswith("molecule/") and "molecule test" in script
                if not by_molecule and block.file not in script and "hosts:" in block.text:
                    # A playbook for machines that are not here.
                    self._run(replace(block, text=f"ansible-playbook --syntax-check -i inventory.ini {block.file}"))
            elif block.mark == "run":
                printed = self._run(block)
            else:
                absent = missing(block.text, printed)
                assert not absent, f"{block}: {absent} not printed, at least not there:\n{printed}"

    def _run(self, block: Block) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block} fails:\n{done.stdout}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
        return kept | self.elsewhere | {
            "HOME": str(self.home),
            "PATH": f"{_PROGRAMS}:{os.environ['PATH']}",
            "BBS_URL": self.server.url,
            "BBS_TOKEN_FILE": str(self.home / ".config" / "bbs" / "token"),
            "BBS_SERVER_CONFIG": str(self.server.config),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
        }  # fmt: skip

    def leave(self) -> None:
        """Stop the hosts' agents."""
        for agent in sorted(self.folder.glob("hosts/*/bin/bbs-agent")):
            subprocess.run([str(agent), "stop"], check=False, capture_output=True)
