# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``/openapi.json`` and a page to read it: everything comes from this server, nothing from elsewhere."""

from __future__ import annotations

import functools
from typing import Any

from flask import Flask, render_template_string
from markupsafe import Markup

from bbs_server import openapi
from bbs_server.auth import public

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ spec.info.title }} {{ spec.info.version }}: API</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  code, pre { font-family: ui-monospace, monospace; }
  summary { cursor: pointer; padding: .2rem 0; }
  summary b { display: inline-block; width: 4.5rem; }
  details { border-bottom: 1px solid #8884; }
  table { border-collapse: collapse; margin: .5rem 0 1rem; }
  td, th { border: 1px solid #8884; padding: .2rem .6rem; text-align: left; vertical-align: top; }
</style>
<h1>{{ spec.info.title }} {{ spec.info.version }}</h1>
<p style="white-space: pre-line">{{ spec.info.description }}</p>
<p>The same for programs: <a href="openapi.json">openapi.json</a>.</p>
{% for tag in spec.tags %}
<h2 id="{{ tag.name }}">{{ tag.description or tag.name }}</h2>
{% for path, method, operation, parameters in operations if tag.name in operation.tags %}
<details id="{{ operation.operationId }}">
<summary><b>{{ method | upper }}</b> <code>{{ path }}</code> {{ operation.summary }}</summary>
<p>{{ operation.description or "Open to everybody." }}</p>
{% if parameters %}
<table><tr><th>Parameter<th>In<th>Type<th>Meaning
{% for each in parameters %}
<tr><td><code>{{ each.name }}</code><td>{{ each.in }}<td>{{ each.schema | kind }}<td>{{ each.description or "" }}
{% endfor %}</table>
{% endif %}
{% if operation.requestBody %}
<p>Body:</p>{{ fields(operation.requestBody) }}
{% endif %}
<table><tr><th>Answer<th>When<th>Body
{% for status, answer in operation.responses.items() %}
<tr><td>{{ status }}<td>{{ answer.description }}<td>{% if answer.content %}{{ fields(answer) }}{% endif %}
{% endfor %}</table>
</details>
{% endfor %}
{% endfor %}
</html>
"""

FIELDS = """\
{% if properties %}<table>
{% for name, schema in properties.items() %}
<tr><td><code>{{ name }}</code>{% if name in required %} (required){% endif %}<td>{{ schema | kind }}
{% endfor %}</table>{% else %}{{ kinds }}{% endif %}
"""


def register(app: Flask) -> None:
    """Add the document and its page to the application; all other routes have to be there."""
    app.add_template_filter(_kind, "kind")

    @functools.cache
    def spec() -> dict[str, Any]:
        return openapi.document(app)

    @app.get("/api/v1/openapi.json")
    @public
    def openapi_json() -> dict[str, Any]:
        return spec()

    @app.get("/api/v1/docs")
    @public
    def docs() -> str:
        return _page(spec())


def _page(spec: dict[str, Any]) -> str:
    operations = [
        (path, method, operation, [*item.get("parameters", []), *operation.get("parameters", [])])
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    return render_template_string(PAGE, spec=spec, operations=operations, fields=functools.partial(_fields, spec))


def _fields(spec: dict[str, Any], holder: dict[str, Any]) -> Markup:
    """The fields of a body, as a table."""
    schema: dict[str, Any] = next(iter(holder["content"].values()))["schema"]
    schema = schema.get("anyOf", [schema])[0]
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    properties, required = schema.get("properties"), schema.get("required", ())
    # The template escapes what it is given.
    return Markup(render_template_string(FIELDS, properties=properties, required=required, kinds=_kind(schema)))


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words: ``list of integer``, ``string or null``, ``PlanShown``."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kinds = schema.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
