"""Reading a request's body: bounded, whole, never on disk; and discarding one.

Django reads a body only by its Content-Length. Here a chunked one is read too: `RequestBody` ends
with it. How many large ones are read at a time is decided by `admission`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO

from django.http import HttpRequest

from fugata_core.errors import BodyCutShort, BodyTooLarge, BodyTooSlow, Overloaded
from fugata_core.limits import DISCARD_TOO_LARGE, DISCARDS, Discard, bulkhead
from fugata_server.client_socket import ClientSocket

_STEP = 2**18


def has_body(request: HttpRequest) -> bool:
    """Return whether the request announces a body."""
    length = request.META.get("CONTENT_LENGTH")
    return bool(length and length != "0") or "HTTP_TRANSFER_ENCODING" in request.META


@contextmanager
def body_in_memory(request: HttpRequest, limit: int) -> Iterator[None]:
    """Read the body into memory for as long as the block runs; `request.body` then has it.

    Raises BodyTooLarge over `limit` bytes, BodyCutShort, or BodyTooSlow.
    """
    declared = content_length(request)
    if declared is not None and declared > limit:
        discard(request)
        raise BodyTooLarge(limit)
    try:
        _set_body(request, _read(request, declared, limit))
        yield
    finally:
        # A DRF request refers to itself, and would keep its body until a garbage collection.
        request._body = b""


def content_length(request: HttpRequest) -> int | None:
    """Return Content-Length in bytes, or None for a chunked body."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return None
    return int(request.META["CONTENT_LENGTH"])


def has_arrived(request: HttpRequest) -> bool:
    """Return whether the whole body is there, so that reading it takes no time."""
    return getattr(request.META["wsgi.input"], "is_whole", True)


def _read(request: HttpRequest, declared: int | None, limit: int) -> bytes:
    if declared is not None and declared <= _STEP:
        body = _read_piece(request, declared)
    else:
        body = _read_in_steps(request, declared, limit)
    if declared is not None and len(body) < declared:
        raise BodyCutShort()
    return body


def _read_in_steps(request: HttpRequest, declared: int | None, limit: int) -> bytes:
    body = bytearray()
    while piece := _read_piece(
        request, _STEP if declared is None else min(_STEP, declared - len(body))
    ):
        body += piece
        if len(body) > limit:
            body.clear()
            discard(request)
            raise BodyTooLarge(limit)
    return bytes(body)


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


def discard(request: HttpRequest, bound: Discard = DISCARD_TOO_LARGE) -> None:
    """Read and drop the rest of the body, up to `bound`; but ask nobody to begin sending one."""
    stream = request.META["wsgi.input"]
    if not has_body(request) or hasattr(request, "_body"):
        return
    if getattr(stream, "awaits_continue", False):
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
