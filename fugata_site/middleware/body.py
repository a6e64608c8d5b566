"""Reads the body, within its bounds, before a view sees the request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from fugata_core.errors import FugataError
from fugata_server.request_buffer import body_in_memory, has_body
from fugata_site import errors


class BodyMiddleware:
    """Reads the body into memory, for as long as the request is being answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not has_body(request):
            return self.get_response(request)
        try:
            with body_in_memory(request):
                return self.get_response(request)
        except FugataError as error:
            return errors.error_response(request, error)
