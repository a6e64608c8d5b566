"""Reading a request's body: bounded, whole, never on disk; and discarding one.

Django reads a body only by its Content-Length. Here a chunked one is read too: `RequestBody` ends
with it. How many large ones are read at a time is decided by `admission`.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from io import BytesIO
from typing import IO

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from fugata_core.errors import (
    BadRequest,
    BodyCutShort,
    BodyTooLarge,
    BodyTooSlow,
    Overloaded,
    SecretTooLarge,
)
from fugata_core.forms import MULTIPART, URLENCODED, reader_of
from fugata_core.limits import DISCARD_TOO_LARGE, DISCARDS, Discard, bulkhead
from fugata_core.routes import is_page
from fugata_core.views import SMALL_BODY
from fugata_server.client_socket import ClientSocket

_STEP = 2**18


def has_body(request: HttpRequest) -> bool:
    """Return whether the request announces a body."""
    length = request.META.get("CONTENT_LENGTH")
    return bool(length and length != "0") or "HTTP_TRANSFER_ENCODING" in request.META


@contextmanager
def body_in_memory(request: HttpRequest, limit: int) -> Iterator[None]:
    """Keep the body in memory for as long as the block runs.

    `request.POST` then has the fields of a page's form, `request.body` any other body. Raises
    BodyTooLarge over `limit` bytes, MalformedForm, BodyCutShort or BodyTooSlow.
    """
    try:
        if is_form(request):
            _set_form(request, _read_form(request, limit))
        else:
            _set_body(request, _joined(_pieces(request, limit)))
        yield
    finally:
        # A DRF request refers to itself, and would keep its body until a garbage collection.
        leave_out_body(request)


def leave_out_body(request: HttpRequest) -> None:
    """Make the request look as if it had come without a body."""
    request._body = b""
    _set_form(request, QueryDict())


def is_form(request: HttpRequest) -> bool:
    """Return whether the request sends a form to a page."""
    return is_page(request.path_info) and request.content_type in (URLENCODED, MULTIPART)


def content_length(request: HttpRequest) -> int | None:
    """Return Content-Length in bytes, or None for a chunked body."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return None
    return int(request.META["CONTENT_LENGTH"])


def has_arrived(request: HttpRequest) -> bool:
    """Return whether the whole body is there, so that reading it takes no time."""
    return getattr(request.META["wsgi.input"], "is_whole", True)


def _pieces(request: HttpRequest, limit: int) -> Iterator[bytes]:
    """Yield the body, piece by piece."""
    declared, received = content_length(request), 0
    _require_within(request, declared or 0, limit)
    while piece := _read_piece(
        request, _STEP if declared is None else min(_STEP, declared - received)
    ):
        received += len(piece)
        _require_within(request, received, limit)
        yield piece
    if declared is not None and received < declared:
        raise BodyCutShort()


def _joined(pieces: Iterable[bytes]) -> bytes:
    """Join them as they come, so that there are never two copies."""
    joined = BytesIO()
    for piece in pieces:
        joined.write(piece)
    return joined.getvalue()


def _require_within(request: HttpRequest, size: int, limit: int) -> None:
    if size > limit:
        discard(request)
        raise BodyTooLarge(limit)


def _read_form(request: HttpRequest, limit: int) -> QueryDict:
    try:
        values = settings.MAX_SECRET_SIZE + SMALL_BODY
        reader = reader_of(request.META.get("CONTENT_TYPE", ""), values)
        for piece in _pieces(request, limit):
            reader.feed(piece)
    except (BadRequest, SecretTooLarge):
        discard(request)
        raise
    fields = QueryDict(mutable=True)
    for name, value in reader.finish():
        fields.appendlist(name, value)
    return fields


def _read_piece(request: HttpRequest, size: int) -> bytes:
    """Return up to `size` bytes, none at the end. Raises BodyTooSlow or BodyCutShort."""
    try:
        return bytes(request.META["wsgi.input"].read(size))
    except TimeoutError as error:
        raise BodyTooSlow() from error
    except Exception as error:  # malformed, or the connection is lost
        raise BodyCutShort() from error


def _connection(request: HttpRequest) -> ClientSocket | None:
    """Return the client's connection; None in a test without a server."""
    connection: ClientSocket | None = request.META.get("gunicorn.socket")
    return connection


def _set_body(request: HttpRequest, body: bytes) -> None:
    """Make the body look to Django and DRF as if it had come with a Content-Length."""
    request._body = body
    request.META["CONTENT_LENGTH"] = str(len(body))


def _set_form(request: HttpRequest, fields: QueryDict) -> None:
    """Make Django take the form as parsed; no form of ours has files."""
    vars(request).update(_post=fields, _files=MultiValueDict())


def discard(request: HttpRequest, bound: Discard = DISCARD_TOO_LARGE) -> None:
    """Read and drop the rest of the body, up to `bound`; but ask nobody to begin sending one."""
    stream = request.META["wsgi.input"]
    is_over = getattr(stream, "is_whole", False) or "_body" in vars(request)
    if is_over or not has_body(request) or getattr(stream, "awaits_continue", False):
        return
    connection = _connection(request)
    within = connection.at_most(bound.seconds) if connection else nullcontext()
    with suppress(Overloaded), bulkhead(DISCARDS).place(), within:
        _discard(stream, bound)


def _discard(stream: IO[bytes], bound: Discard) -> None:
    most, deadline = bound.bytes, time.monotonic() + bound.seconds
    with suppress(Exception):  # the client is gone, or too slow
        while most > 0 and deadline > time.monotonic() and (piece := stream.read(min(_STEP, most))):
            most -= len(piece)
