"""Responses of the worker itself, before there is a request that Django could see."""

import json
from http import HTTPStatus

from gunicorn.http import errors

from fugata_core.errors import BadRequest, FugataError


class BadHead(BadRequest):
    """The head is not one of HTTP (RFC 9112, sections 2 to 6)."""

    sentence = "The request is malformed: it is not valid HTTP/1.1"


class HostMissing(BadRequest):
    """RFC 9112, section 3.2."""

    sentence = "The request has no Host header, which HTTP/1.1 requires"


class HeadTooLong(FugataError):
    """Request line and headers are over MAX_HEAD bytes (RFC 6585, section 5)."""

    status = 431
    sentence = "The request's head is too long: request line and headers may have 64 KiB in all"


class HeadersTooLarge(FugataError):
    """One header is over gunicorn's limit, or there are too many (RFC 6585, section 5)."""

    status = 431
    sentence = (
        "A header of the request is too large, or there are too many: each may have 8,190 bytes,"
        " cookies together too, and there may be 100"
    )


class TargetTooLong(FugataError):
    """The request line is over gunicorn's limit (RFC 9110, section 15.5.15)."""

    status = 414
    sentence = "The address is too long: the request line may have 8,190 bytes"


class UnknownExpectation(FugataError):
    """Expect asks for something other than "100-continue" (RFC 9110, section 15.5.18)."""

    status = 417
    sentence = 'The Expect header can be met only if it is "100-continue"'


class UnknownTransferCoding(FugataError):
    """RFC 9112, section 6.1."""

    status = 501
    sentence = 'The request body has an unknown Transfer-Encoding: only "chunked" is supported'


class HeadTooSlow(FugataError):
    """They did not arrive within HEAD_TIMEOUT (RFC 9110, section 15.5.9)."""

    status = 408
    sentence = "The request's head did not arrive in time"


_REFUSALS: dict[type[Exception], type[FugataError]] = {
    errors.LimitRequestLine: TargetTooLong,
    errors.LimitRequestHeaders: HeadersTooLarge,
    errors.ExpectationFailed: UnknownExpectation,
    errors.UnsupportedTransferCoding: UnknownTransferCoding,
}


def refusal_of(error: Exception) -> FugataError:
    """Return the refusal of a head that gunicorn's parser raised `error` for."""
    return _REFUSALS.get(type(error), BadHead)()


def as_bytes(error: FugataError) -> bytes:
    """Return the whole response that refuses a request, after which the connection is closed."""
    body = json.dumps({"error": error.sentence}).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {"Connection": "close", "Cache-Control": "no-store"} | error.headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n".encode() + body
    )
