"""Reads the body, within its bounds, before a view sees the request, if the head leaves a use."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from fugata_core.errors import BodyTooLarge, FormNotVerified, FugataError, SecretTooLarge
from fugata_core.requests import FugataRequest
from fugata_core.routes import requires_token
from fugata_core.views import SMALL_BODY, max_body, needs_body
from fugata_server.request_buffer import (
    body_in_memory,
    content_length,
    discard,
    has_arrived,
    has_body,
    is_form,
    leave_out_body,
)
from fugata_site import errors
from fugata_site.middleware.csrf import has_cookie

#: Maximum bytes of a form that is read, to be shown again, although it is refused.
MAX_SHOWN_AGAIN = 256 * 1024


class BodyMiddleware:
    """Reads the body into memory, for as long as the request is being answered.

    A body that is still on its way is not asked for where the response is clear without it. Nor is
    a form parsed that can't be genuine, except to give the text back to the person who typed it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        if not has_body(request):
            return self.get_response(request)
        if not _is_wanted(request):
            discard(request)
            leave_out_body(request)
            return self.get_response(request)
        try:
            with body_in_memory(request, _limit(request)):
                return self.get_response(request)
        except FugataError as error:
            return errors.error_response(request, _explained(request, error))


def _limit(request: HttpRequest) -> int:
    """Return how many bytes are read, at most: 64 KiB or more on every path."""
    if 0 < (content_length(request) or 0) <= SMALL_BODY:
        return SMALL_BODY
    limit = max_body(request)
    return limit if _is_verifiable(request) else min(limit, MAX_SHOWN_AGAIN)


def _is_verifiable(request: HttpRequest) -> bool:
    """Return whether it is a form with the cookie that its token is compared with, or no form."""
    return not is_form(request) or has_cookie(request)


def _explained(request: HttpRequest, error: FugataError) -> FugataError:
    if not isinstance(error, BodyTooLarge) or max_body(request) == SMALL_BODY:
        return error
    return SecretTooLarge() if _is_verifiable(request) else FormNotVerified()


def _is_wanted(request: FugataRequest) -> bool:
    """Return whether the response depends on the body: also that it shows a text again."""
    if is_form(request) and not has_cookie(request):
        return request.method == "POST" and max_body(request) > SMALL_BODY
    if has_arrived(request):
        return True
    lacks_token = requires_token(request.path_info) and request.caller is None
    return needs_body(request) and not lacks_token
