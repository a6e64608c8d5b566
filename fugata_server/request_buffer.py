"""Reading a request's body: bounded, whole, never on disk; and discarding one.

Django reads a body only by its Content-Length. Here a chunked one is read too (gunicorn marks its
end). How many large ones are read at a time is decided by `admission`, before there is a thread.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.http import HttpRequest

from fugata_core.errors import BodyCutShort, BodyTooLarge, BodyTooSlow, Overloaded
from fugata_core.limits import (
    DISCARD_TOO_LARGE,
    DISCARDS,
    HUGE_BODY,
    IDLE_TIMEOUT,
    MIN_RATE,
    Discard,
    bulkhead,
)

_STEP = 2**18


def has_body(request: HttpRequest) -> bool:
    """Return whether the request announces a body."""
    length = request.META.get("CONTENT_LENGTH")
    return bool(length and length != "0") or "HTTP_TRANSFER_ENCODING" in request.META


@contextmanager
def body_in_memory(request: HttpRequest) -> Iterator[None]:
    """Read the body into memory for as long as the block runs; `request.body` then has it.

    Raises BodyTooLarge, BodyCutShort, BodyTooSlow, or Overloaded for a huge body without a place.
    """
    declared = _content_length(request)
    if declared is not None and declared > settings.MAX_BODY_SIZE:
        discard(request)
        raise BodyTooLarge()
    try:
        _set_body(request, _read(request, declared))
        yield
    except BodyTooSlow:
        _hang_up(request)
        raise
    finally:
        # A DRF request refers to itself, and would keep its body until a garbage collection.
        request._body = b""


def _content_length(request: HttpRequest) -> int | None:
    """Return Content-Length, or None for a chunked body."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return None
    return int(request.META["CONTENT_LENGTH"])


def _read(request: HttpRequest, declared: int | None) -> bytes:
    if declared is not None and declared <= _STEP:
        body = _read_chunk(request, declared, time.monotonic() + IDLE_TIMEOUT + _STEP / MIN_RATE)
    else:
        body = _read_in_steps(request, declared)
    if declared is not None and len(body) < declared:
        raise BodyCutShort()
    return body


def _read_in_steps(request: HttpRequest, declared: int | None) -> bytes:
    body = bytearray()
    began = time.monotonic()
    while piece := _read_chunk(
        request,
        _STEP if declared is None else min(_STEP, declared - len(body)),
        began + IDLE_TIMEOUT + (len(body) + _STEP) / MIN_RATE,
    ):
        body += piece
        if len(body) > HUGE_BODY and not _may_be_huge(request):
            _hang_up(request)
            raise Overloaded()
        if len(body) > settings.MAX_BODY_SIZE:
            body.clear()
            discard(request)
            raise BodyTooLarge()
    return bytes(body)


def _may_be_huge(request: HttpRequest) -> bool:
    """Return whether `admission` gave the request one of the places for huge bodies.

    Always True, unless the poller and gunicorn's parser read the framing differently.
    """
    connection = request.META.get("gunicorn.socket")
    return getattr(connection, "may_be_huge", True)


def _read_chunk(request: HttpRequest, size: int, deadline: float) -> bytes:
    """Return up to `size` bytes, none at the end. Raises BodyTooSlow or BodyCutShort."""
    if size == 0:
        return b""
    left = deadline - time.monotonic()
    if left <= 0:
        raise BodyTooSlow()
    _set_timeout(request, min(IDLE_TIMEOUT, left))
    try:
        return bytes(request.META["wsgi.input"].read(size))
    except TimeoutError as error:
        raise BodyTooSlow() from error
    except Exception as error:  # gunicorn's own errors of chunked encoding, or a lost connection
        raise BodyCutShort() from error
    finally:
        _set_timeout(request, None)


def _set_timeout(request: HttpRequest, seconds: float | None) -> None:
    connection = request.META.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(seconds)


def _set_body(request: HttpRequest, body: bytes) -> None:
    """Make the body look to Django and DRF as if it had come with a Content-Length."""
    request._body = body
    request.META["CONTENT_LENGTH"] = str(len(body))


def discard(request: HttpRequest, bound: Discard = DISCARD_TOO_LARGE) -> None:
    """Read and drop the rest of the body, up to `bound`; else stop receiving."""
    if not has_body(request) or hasattr(request, "_body"):
        return
    ended = False
    with suppress(Overloaded), bulkhead(DISCARDS).place():
        ended = _discard(request, bound)
    if not ended:
        _hang_up(request)


def _hang_up(request: HttpRequest) -> None:
    """Stop receiving: gunicorn would wait five seconds for the rest of a body that stalls."""
    connection = request.META.get("gunicorn.socket")
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)


def _discard(request: HttpRequest, bound: Discard) -> bool:
    """Read and drop the body; return whether its end was reached."""
    stream, deadline = request.META["wsgi.input"], time.monotonic() + bound.seconds
    most = bound.bytes
    while most > 0 and (left := deadline - time.monotonic()) > 0:
        _set_timeout(request, left)
        try:
            piece = stream.read(min(_STEP, most))
        except Exception:  # the client is gone, or too slow
            break
        if not piece:
            _set_timeout(request, None)
            return True
        most -= len(piece)
    _set_timeout(request, None)
    return False
