"""Responses of the worker itself, before there is a request that Django could see."""

import json
from http import HTTPStatus

from fugata_core.errors import FugataError


class HeadTooLong(FugataError):
    """Request line and headers are over MAX_HEAD bytes (RFC 6585, section 5)."""

    status = 431
    sentence = "The request's head is too long: request line and headers may have 64 KiB in all"


class HeadTooSlow(FugataError):
    """They did not arrive within HEAD_TIMEOUT (RFC 9110, section 15.5.9)."""

    status = 408
    sentence = "The request's head did not arrive in time"


def as_bytes(error: FugataError) -> bytes:
    """Return the whole response that refuses a request, after which the connection is closed."""
    body = json.dumps({"error": error.sentence}).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {"Connection": "close", "Cache-Control": "no-store"} | error.headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n".encode() + body
    )
