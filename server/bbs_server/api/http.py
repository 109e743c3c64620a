# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of the API share: blueprints, fields, replies."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import flask_smorest
import marshmallow
import orjson
from flask import Flask, Request, Response, abort, current_app, request, stream_with_context
from flask.json.provider import DefaultJSONProvider
from marshmallow import EXCLUDE, ValidationError, fields, validate
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.routing import IntegerConverter

from bbs_server.models import NAME_LENGTH
from bbs_server.text import storable

LARGEST_ID = 2**63 - 1
LARGEST_COUNT = 2**31 - 1
LARGEST_SIZE = 2**63 - 1


class Id(IntegerConverter):
    """An id in a path; one that no database could hold is an unknown page, not a crash."""

    # The limit stands in the expression: werkzeug takes a number beyond ``max`` for a path with other methods (405).
    regex = r"\d{1,18}"

    def __init__(self, map: Any) -> None:
        super().__init__(map, max=10**18 - 1)


class Parser(FlaskParser):
    """Reads JSON bodies; an empty body counts as an empty object (admin-api.md §1)."""

    def load_json(self, req: Request, schema: Any) -> Any:
        content = req.get_data(cache=True)
        if not content.strip():
            return missing
        try:
            body = json.loads(content.decode(), parse_constant=_refuse_constant)
        except (json.JSONDecodeError, UnicodeDecodeError):
            abort(400, description="The body is not valid JSON.")
        except (RecursionError, ValueError) as error:
            # Numbers of thousands of digits and endless nesting are JSON, but nothing Python reads.
            raise ValidationError({"body": ["is too deeply nested or holds a number that is too long."]}) from error
        if not isinstance(body, dict):
            raise ValidationError({"body": ["must be a JSON object."]})
        return body


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask_smorest has no types
    """A blueprint whose arguments are read by :class:`Parser` and refused with 400."""

    ARGUMENTS_PARSER = Parser(unknown=EXCLUDE)

    def body(self, schema: type[marshmallow.Schema]) -> Any:
        """Read the JSON body with a schema."""
        # Made once: making it takes longer than reading a short body with it.
        return self.arguments(schema(), error_status_code=400)

    def query(self, schema: type[marshmallow.Schema]) -> Any:
        """Read the query string with a schema."""
        return self.arguments(schema(), location="query", error_status_code=400)


class Json(DefaultJSONProvider):
    """Replies as orjson writes them: ten times faster than the standard library (docs/adr/0012-replies.md).

    They end with a line feed, for those who read them in a terminal.
    """

    sort_keys = False
    compact = True

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(self.encoded(self._prepare_response_obj(args, kwargs)) + b"\n", mimetype="application/json")

    def encoded(self, content: Any) -> bytes:
        """The JSON of anything."""
        try:
            return orjson.dumps(content)
        except TypeError:
            # Names of files whose bytes are no text, and numbers beyond 64 bits.
            return self.dumps(content).encode()

    def listing(self, name: str, parts: Iterable[list[Any]], **more: Any) -> Response:
        """The reply ``{name: […]}`` with a list that may be long; of many parts only one is in memory at a time.

        :param more: further keys of the reply.
        """
        rest = filter(None, parts)
        first, second = next(rest, []), next(rest, None)
        if second is None:
            return self.response({name: first, **more})

        def body() -> Iterator[bytes]:
            yield b'{"%s":[' % name.encode() + self.encoded(first)[1:-1]
            for part in itertools.chain([second], rest):
                yield b"," + self.encoded(part)[1:-1]
            yield b"]" + b"".join(b',"%s":%s' % (key.encode(), self.encoded(more[key])) for key in more) + b"}\n"

        return Response(stream_with_context(body()), mimetype="application/json")


class Text(fields.String):
    """Text. Numbers are taken as text, as YAML writers leave out quotes; anything else is refused.

    :param maximum: characters allowed.
    """

    def __init__(self, *, maximum: int = NAME_LENGTH, **kwargs: Any) -> None:
        bounds = validate.Length(max=maximum, error=f"must have at most {maximum} characters.")
        kwargs.setdefault("validate", bounds)
        super().__init__(error_messages=_MESSAGES | {"invalid": "must be text."}, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not storable(value):
            raise self.make_error("invalid")
        return str(value)


class Whole(fields.Integer):
    """A whole number within bounds; digits in a text are taken, fractions and flags are not."""

    def __init__(self, *, least: int = 0, most: int = LARGEST_COUNT, **kwargs: Any) -> None:
        message = f"must be a whole number from {least} to {most}."
        kwargs.setdefault("validate", validate.Range(least, most, error=message))
        super().__init__(error_messages=_MESSAGES | {"invalid": message, "too_large": message}, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        digits = isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 25
        if isinstance(value, bool) or not (isinstance(value, int) or digits):
            raise self.make_error("invalid", input=value)
        return int(value)


class Flag(fields.Boolean):
    """True or false."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(error_messages=_MESSAGES | {"invalid": "must be true or false."}, **kwargs)


_MESSAGES: dict[str, Any] = {"required": "is required.", "null": "must not be null."}


class Array(fields.List[Any]):
    """A list.

    :param of: what its elements are, in the plural.
    """

    def __init__(self, element: fields.Field[Any], *, of: str, **kwargs: Any) -> None:
        super().__init__(element, error_messages=_MESSAGES | {"invalid": f"must be a list of {of}."}, **kwargs)


class Object(fields.Dict):
    """An object whose keys are not known beforehand."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keys=fields.String(), error_messages=_MESSAGES | {"invalid": "must be an object."}, **kwargs)


class Page(marshmallow.Schema):
    """Which part of a long list to tell; without either, the whole list (admin-api.md §1)."""

    limit = Whole(load_default=None, least=1, metadata={"description": "At most so many; left out: all."})
    offset = Whole(load_default=0, metadata={"description": "So many of the first are left out."})


class Message(marshmallow.Schema):
    """The reply to a change."""

    status = fields.String(required=True)
    message = fields.String(required=True)


def done(message: str) -> dict[str, str]:
    """The reply to a change that worked."""
    return {"status": "ok", "message": message}


def listing(name: str, parts: Iterable[list[Any]], **more: Any) -> Response:
    """The reply with a list that may be long (:meth:`Json.listing`).

    :param more: further keys of the reply.
    """
    return cast(Json, current_app.json).listing(name, parts, **more)


def _refuse_constant(name: str) -> None:
    raise json.JSONDecodeError("Python writes this, JSON does not have it", name, 0)


def refuse_other_media() -> None:
    """Refuse a body that is not declared as JSON, before anything reads it."""
    # A body that is sent in chunks does not say how long it is.
    has_body = request.content_length or "Transfer-Encoding" in request.headers
    if request.method != "GET" and has_body and not request.is_json:
        abort(415, description="The body must be JSON: send the header Content-Type: application/json.")


def install(app: Flask) -> None:
    """Make the application know ids and media types."""
    app.url_map.converters["id"] = Id
    app.json = Json(app)
    # Otherwise "/api//v1" is answered with a redirect in HTML; upstream knows no such page.
    app.url_map.merge_slashes = False
    app.before_request(refuse_other_media)
