# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the site below .cache/docs: the pages of docs/ and the roles, and a reference made of the plugins' own words.

`docs/README.md` is the table of contents, here as on GitHub. Every warning is an error, and nothing is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pages import CONTENTS, ROOT, pages, with_links

CACHE = ROOT / ".cache" / "docs"
SOURCE, SITE = CACHE / "source", CACHE / "html"
PROGRAMS = Path(sys.executable).parent
FILES = "https://github.com/borgfleet/ansible-collection-bbs/blob/main"
COPIED = {".svg", ".json"}
NO_REFERENCE = {"changelog"}


def place(file: Path) -> Path:
    """Where a page or picture lies in the site, relative to its root."""
    if file == CONTENTS:
        return Path("index.md")
    if file == ROOT / "README.md":
        return Path("readme.md")
    name = file.relative_to(ROOT)
    if name.parts[0] == "roles":
        return Path("roles", f"{name.parts[1]}.md")
    return Path(*name.parts[1:])


def assemble() -> None:
    """Copy the pages to their places, with links that hold there."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for page in pages():
        text = with_links(page.read_text(encoding="utf-8"), lambda target, page=page: moved(page, target))
        if page == CONTENTS:
            text += toctrees(text)
        target = SOURCE / place(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for file in (ROOT / "docs").rglob("*"):
        if file.suffix in COPIED:
            (SOURCE / place(file)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, SOURCE / place(file))
    shutil.copy2(Path(__file__).with_name("conf.py"), SOURCE)


def moved(page: Path, target: str) -> str:
    """A link as it has to be in the site; what the site does not hold is linked to where its source is."""
    name, sharp, anchor = target.partition("#")
    if not name or re.match(r"[a-z][a-z+.-]*:", name):
        return target
    file = (page.parent / name).resolve()
    if file in pages() or (file.suffix in COPIED and file.is_relative_to(ROOT / "docs")):
        return os.path.relpath(place(file), place(page).parent) + sharp + anchor
    if file.is_relative_to(ROOT) and file.exists():
        return f"{FILES}/{file.relative_to(ROOT)}{sharp}{anchor}"
    raise SystemExit(f"{page.relative_to(ROOT)}: {target} leads nowhere")


def toctrees(text: str) -> str:
    """The site's navigation: each list of the contents, under its heading."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    found = []
    for heading, section in zip(parts[1::2], parts[2::2], strict=True):
        entries = re.findall(r"^- \[(.+?)\]\((?!https?:)([^)#]+)\)", section, re.MULTILINE)
        entries = [(title, name.removesuffix(".md")) for title, name in entries if not name.endswith(".json")]
        if heading == "Reference":
            entries.append(("Modules, plugins and roles", "collection/index"))
        listed = "\n".join(f"{title} <{name}>" for title, name in entries)
        found.append(f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{listed}\n```\n")
    return "".join(found)


def reference() -> None:
    """Have antsibull-docs write what `ansible-doc` knows about the collection."""
    tree = CACHE / "collections" / "ansible_collections" / "borgfleet"
    tree.mkdir(parents=True, exist_ok=True)
    link = tree / "bbs"
    if not link.is_symlink():
        link.symlink_to(ROOT, target_is_directory=True)
    target = SOURCE / "collection"
    target.mkdir()
    run(
        "antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
        "--dest-dir", str(target), "borgfleet.bbs",
        ANSIBLE_COLLECTIONS_PATH=str(tree.parents[1]), ANSIBLE_HOME=str(CACHE / "ansible"),
    )  # fmt: skip


def run(program: str, *arguments: str, **variables: str) -> None:
    """Run a program of this virtual environment; what fails ends everything."""
    environment = os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"} | variables
    if code := subprocess.run([str(PROGRAMS / program), *arguments], env=environment, check=False).returncode:
        raise SystemExit(code)


def main() -> None:
    assemble()
    reference()
    shutil.rmtree(SITE, ignore_errors=True)
    run("sphinx-build", "-q", "-W", "--keep-going", "-n", "-d", str(CACHE / "doctrees"), str(SOURCE), str(SITE))
    print(f"The site is in {(SITE / 'index.html').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
