"""JSON responses that hold a secret: large ones are streamed."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

JSON = "application/json"
Timestamp = Annotated[
    str,
    msgspec.Meta(
        description="ISO 8601, in UTC, whole seconds.", extra_json_schema={"format": "date-time"}
    ),
]
_CHUNK_SIZE = 64 * 1024


def secret_answer(
    field: str, content: bytes, rest: Mapping[str, object] | None = None
) -> HttpResponseBase:
    """Return a JSON object with `content` (UTF-8) in `field`, then the fields of `rest`."""
    pieces = _json(field, content, rest or {})
    if len(content) <= _CHUNK_SIZE:
        return HttpResponse(b"".join(pieces), content_type=JSON)
    return StreamingHttpResponse(pieces, content_type=JSON)


def _json(field: str, content: bytes, rest: Mapping[str, object]) -> Iterator[bytes]:
    yield b"{" + msgspec.json.encode(field) + b':"'
    for piece in _pieces(content):
        yield msgspec.json.encode(piece)[1:-1]
    yield b'",' + msgspec.json.encode(rest)[1:] if rest else b'"}'


def _pieces(content: bytes) -> Iterator[str]:
    """Yield UTF-8 as text in pieces of about 64 KiB, cut between characters."""
    start = 0
    while start < len(content):
        end = min(start + _CHUNK_SIZE, len(content))
        while end < len(content) and content[end] & 0xC0 == 0x80:
            end -= 1
        yield content[start:end].decode()
        start = end
