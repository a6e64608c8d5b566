"""The body of an opened share: JSON, and a large one piece by piece."""

from collections.abc import Iterator

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from secrets_app.actions.reveal import Opened
from secrets_app.clock import iso

JSON = "application/json"
_PIECE = 64 * 1024


def opened_answer(opened: Opened) -> HttpResponseBase:
    """Return `opened` as the contract writes it."""
    if len(opened.content) <= _PIECE:
        return HttpResponse(b"".join(_json(opened)), content_type=JSON)
    return StreamingHttpResponse(_json(opened), content_type=JSON)


def _json(opened: Opened) -> Iterator[bytes]:
    yield b'{"content":"'
    for piece in _pieces(opened.content):
        yield msgspec.json.encode(piece)[1:-1]
    rest = {
        "metadata": opened.label,
        "expires_at": iso(opened.expires_at),
        "one_time": opened.one_time,
    }
    yield b'",' + msgspec.json.encode(rest)[1:]


def _pieces(content: bytes) -> Iterator[str]:
    """Yield UTF-8 as text of about 64 KiB a piece, cut between characters."""
    start = 0
    while start < len(content):
        end = min(start + _PIECE, len(content))
        while end < len(content) and content[end] & 0xC0 == 0x80:
            end -= 1
        yield content[start:end].decode()
        start = end
