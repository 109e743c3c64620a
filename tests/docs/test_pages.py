# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Markdown pages hold together: no link leads nowhere, and the contents list them all."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from .blocks import Block, blocks
from .paths import CONTENTS, ROOT, Link, anchors, links, pages, with_links

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [str(link) for link in links(page) if not _leads_somewhere(link)] == []


def _leads_somewhere(link: Link) -> bool:
    if link.external:
        return _well_formed(link.target)
    if not link.path.exists() or not link.path.is_relative_to(ROOT):
        return False
    return not link.anchor or (link.path.suffix == ".md" and link.anchor in anchors(link.path))


def _well_formed(target: str) -> bool:
    """There is no network here to look; at least the form is right, and the way is a safe one."""
    parts = urlsplit(target)
    return parts.scheme == "https" and "." in (parts.hostname or "")


def test_the_contents_list_every_page_once() -> None:
    listed = [link.path for link in links(CONTENTS) if link.path.suffix == ".md"]
    assert sorted(listed) == sorted(set(pages()) - {CONTENTS})


def test_pictures_are_drawings_with_a_title_that_fetch_nothing() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
    assert pictures
    for picture in pictures:
        drawing = ElementTree.parse(picture).getroot()
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg", picture
        assert drawing.find("{http://www.w3.org/2000/svg}title") is not None, picture
        assert re.findall(r"(?:href=\"|url\()(?!#)[^\")]*", picture.read_text()) == [], picture
    shown = {link.path for page in pages() for link in links(page)}
    assert set(pictures) <= shown


@pytest.mark.parametrize("page", PAGES)
def test_marks_of_code_blocks_are_known(page: Path) -> None:
    list(blocks(page))


def test_a_link_in_code_is_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](b.md) `[c](d.md)`\n\n```sh\n[e](f.md)\n```\n\n![g](h.svg#i)\n")

    assert [link.target for link in links(page)] == ["b.md", "h.svg#i"]
    assert with_links(page.read_text(), str.upper).count(".md") == 2


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# `bbs_plan`, again!\n## Same\n## Same\n```\n# none\n```\n### With [a link](x.md)\n")

    assert anchors(page) == {"bbs_plan-again", "same", "same-1", "with-a-link"}


def test_files_of_one_name_are_the_same_on_all_pages() -> None:
    """So a page may show what another one has the reader run."""
    seen: dict[str, Block] = {}
    for block in (block for page in pages() for block in blocks(page) if block.file):
        first = seen.setdefault(block.file, block)
        assert block.text == first.text, f"{block} is not what {first} shows as {block.file}"


@pytest.mark.parametrize("page", PAGES)
def test_every_request_that_a_page_names_has_a_route(page: Path) -> None:
    routes = re.findall(r"^\| `([A-Z]+) (\S+)` \|", (ROOT / "docs" / "access.md").read_text(), re.MULTILINE)
    known = {(method, re.sub(r"{\w+}", "{}", path)) for method, path in routes}
    for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?… ]+)[`?]", page.read_text()):
        plain = re.sub(r"{\w+}", "{}", path)
        assert any((method, f"{prefix}{plain}") in known for prefix in ("", "/api/v1", "/api/agent")), (method, path)


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`|\n|`\n?)make ([a-z][\w-]*)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets
