"""Checks the permission that a view requires, before the body of the request is read."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from fugata_core.errors import FugataError
from fugata_core.limits import DISCARD_REFUSED
from fugata_core.requests import FugataRequest
from fugata_core.views import permission_for
from fugata_server.request_buffer import discard
from fugata_site import errors


class PermissionMiddleware:
    """Refuses what the view's permission refuses, and discards the body.

    It resolves the path, as Django does again, so it is only there where creating is restricted.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        permission = permission_for(request)
        if permission is None:
            return self.get_response(request)
        try:
            replacement = permission(request)
        except FugataError as refusal:
            discard(request, DISCARD_REFUSED)
            return errors.error_response(request, refusal)
        if replacement is None:
            request.permitted = True
            return self.get_response(request)
        discard(request, DISCARD_REFUSED)
        return replacement
