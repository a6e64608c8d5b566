"""Headers of every response: X-Request-ID, and by default Cache-Control: no-store."""

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from fugata_core import logs
from fugata_core.requests import REQUEST_ID_PATTERN, FugataRequest
from fugata_core.tokens import PREFIXES

# Not an id or a token of ours: what a client sends is kept in the audit trail and in logs.
_WELL_FORMED = re.compile(rf"(?!.*(?i:{'|'.join(PREFIXES)})){REQUEST_ID_PATTERN}")


class ResponseHeadersMiddleware:
    """Sets `request.request_id` (the client's X-Request-ID if well-formed, else a new one)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)
        request.request_id = request_id
        token = logs.request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            logs.request_id.reset(token)
        response.headers["X-Request-ID"] = request_id
        response.headers.setdefault("Cache-Control", "no-store")
        return response
