"""Building blocks of both APIs' descriptions (OpenAPI 3.1): schemas, errors and headers.

Bodies come from the msgspec structs that decode them, refusals from the errors that are raised.
Nothing here runs while a request is answered, except for /openapi.json and /docs.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.openapi import AutoSchema

from fugata_core.errors import (
    BodyTooSlow,
    DatabaseUnavailable,
    FugataError,
    Overloaded,
    RateLimited,
    RowLocked,
    UnsupportedMediaType,
)
from fugata_core.requests import REQUEST_ID_PATTERN
from fugata_core.responses import JSON

OpenApiObject = dict[str, Any]

#: Errors that every endpoint of the API may return.
ANYWHERE: list[FugataError] = [
    RateLimited(retry_after=1),
    DatabaseUnavailable(),
    RowLocked(),
    Overloaded(),
]
#: And those of every endpoint that takes a body.
WITH_BODY: list[FugataError] = [BodyTooSlow(), UnsupportedMediaType()]


class Error(msgspec.Struct):
    """Every refusal and every failure: one sentence that says what was wrong."""

    error: str


def schemas(*shapes: type[msgspec.Struct]) -> OpenApiObject:
    """Return the JSON Schemas of `shapes` by name."""
    _, components = msgspec.json.schema_components(
        shapes, ref_template="#/components/schemas/{name}"
    )
    return components


def set_max_length(field: OpenApiObject) -> None:
    """Put the configured maximum size into the description of a secret."""
    most = settings.MAX_SECRET_SIZE
    field["maxLength"] = most  # characters, of at least one byte each
    field["description"] = field["description"].replace("MAX_SECRET_SIZE", f"{most:,} bytes")


@dataclass(frozen=True, slots=True)
class Tag:
    """A group of operations: its name, their common parameters, and who may call them."""

    name: str
    parameters: Sequence[OpenApiObject]
    security: list[OpenApiObject]

    def operation(self, name: str, summary: str, text: str, **more: Any) -> OpenApiObject:
        """Return an operation; `more`: what is its own, such as responses or parameters."""
        parameters = [*self.parameters, *more.pop("parameters", []), REQUEST_ID]
        common: OpenApiObject = {"operationId": name, "tags": [self.name], "summary": summary}
        common |= {"description": text, "security": self.security}
        return common | {"parameters": parameters} | more


def links(parameters: Mapping[str, str], **operations: str) -> OpenApiObject:
    """Return links from a response to `operations`; `parameters`: where theirs come from."""
    return {
        name: {"operationId": operation, "parameters": parameters}
        for name, operation in operations.items()
    }


def ref(kind: str, name: str) -> OpenApiObject:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def body(shape: type[msgspec.Struct], **examples: object) -> OpenApiObject:
    """Return a JSON request body of that shape."""
    return {"required": True, "content": _json(ref("schemas", shape.__name__), examples)}


def response(
    description: str, schema: OpenApiObject | None = None, *headers: str, **examples: Any
) -> OpenApiObject:
    """Return a successful response; no `schema`: it has no body."""
    result: OpenApiObject = {"description": description, "headers": _headers(*headers)}
    return result | ({"content": _json(schema, examples)} if schema else {})


def error_responses(*errors: FugataError, bodiless: bool = False) -> dict[str, OpenApiObject]:
    """Return a response for each status among `errors`, with an example for each sentence.

    `bodiless`: as a HEAD request gets them.
    """
    ordered = sorted(errors, key=lambda error: error.status)
    by_status = groupby(ordered, lambda error: error.status)
    return {str(status): _refusal(status, list(group), bodiless) for status, group in by_status}


def _refusal(status: int, errors: list[FugataError], bodiless: bool) -> OpenApiObject:
    headers = sorted({name for error in errors for name in error.headers})
    phrase = HTTPStatus(status).phrase
    if bodiless:
        return response(phrase, None, *headers)
    examples = {type(error).__name__ + str(n or ""): error for n, error in enumerate(errors)}
    texts = {name: {"error": error.sentence} for name, error in examples.items()}
    return response(phrase, ref("schemas", "Error"), *headers, **texts)


class _Schema(AutoSchema):
    """drf-spectacular's schema of a viewset whose operations are described by method and action.

    A missing description is a KeyError: no endpoint goes undocumented.
    """

    def __init__(self, operations: dict[str, OpenApiObject]) -> None:
        super().__init__()
        self._operations = operations

    def get_operation(self, path: str, *args: Any) -> OpenApiObject:
        """Return the description of the current method and action."""
        view: Any = self.view
        return deepcopy(self._operations[f"{args[2]} {view.action}"])


def with_schema(viewset: type, operations: dict[str, OpenApiObject]) -> type:
    """Return `viewset` as drf-spectacular should see it."""
    return type("Described", (viewset,), {"schema": _Schema(operations)})


def _json(schema: OpenApiObject, examples: dict[str, object]) -> OpenApiObject:
    media: OpenApiObject = {"schema": schema}
    if examples:
        media["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {JSON: media}


def _headers(*names: str) -> OpenApiObject:
    always = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID")
    return {name: ref("headers", name) for name in (*names, *always)}


def _header(description: str, schema: OpenApiObject, example: object) -> OpenApiObject:
    return {"description": description, "required": True, "schema": schema, "example": example}


_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}

HEADERS: OpenApiObject = {
    "X-RateLimit-Limit": _header("Requests a minute.", _NUMBER, 60),
    "X-RateLimit-Remaining": _header("Requests that are possible at once.", _NUMBER, 9),
    "X-RateLimit-Reset": _header(
        "Unix time at which the bucket is full again.", _NUMBER, 1638360000
    ),
    "X-Request-ID": _header(
        "The id of the request: the client's own if it is well-formed, else a new one.",
        {"type": "string", "pattern": f"^{REQUEST_ID_PATTERN}$"},
        "0f8fad5bd9cb469f",
    ),
    "Retry-After": _header("Seconds after which to try again.", _NUMBER, 5),
    "WWW-Authenticate": _header("How to authenticate (RFC 6750).", _TEXT, "Bearer"),
    "Location": _header(
        "The address of what was made.", _TEXT, "/secrets/fug_7x9k2m4n6p8q1r3s5t7u9v"
    ),
    "Link": _header(
        "The page that people open it with.",
        _TEXT,
        '</s/fug_7x9k2m4n6p8q1r3s5t7u9v>; rel="alternate"; type="text/html"',
    ),
}

REQUEST_ID: OpenApiObject = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "An id of the client's own, of 8 to 64 letters, digits, '-', '_' and '.'. It is"
    " answered and recorded; anything else is passed over.",
    "schema": {"type": "string"},
}
