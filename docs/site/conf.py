# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How Sphinx makes the site; `build.py` copies this beside the pages."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "borgfleet.bbs"
copyright = "borgfleet.bbs contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx_copybutton"]
root_doc = "index"

# The anchors that GitHub makes of headings.
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_title = "borgfleet.bbs"
html_show_sphinx = False
html_copy_source = False

# Where Ansible's own documentation has what antsibull-docs refers to; its index cannot be fetched without a network.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
ELSEWHERE = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def at_ansible(_app: Sphinx, _env: Any, node: nodes.Element, content: nodes.Element) -> nodes.reference | None:
    """A link into Ansible's documentation, for a label that is known to be there."""
    page = ELSEWHERE.get(node["reftarget"])
    return nodes.reference("", "", content, refuri=ANSIBLE + page, internal=False) if page else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", at_ansible)
    # The lexer of this name wants a protocol behind each path, which docs/api.md has no use for.
    app.add_lexer("http", TextLexer)
