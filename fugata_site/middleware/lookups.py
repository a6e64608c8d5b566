"""Counts requests with a live access token that no view answers: how they end tells of the token.

Their Host is unknown, or their body is too large, late or cut short. The views count their own.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit_app.actors import Actor
from audit_app.lookups import count_lookup
from fugata_core.database_failures import ANY_ERROR
from fugata_core.errors import FugataError
from fugata_core.limits import BACKENDS, bulkhead
from fugata_core.requests import FugataRequest
from fugata_site import errors


class LookupMiddleware:
    """After the rate limit, which bounds what is written, and after permissions, which record."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.caller is None or request.resolver_match is not None:
            return response
        try:
            with bulkhead(BACKENDS).place(in_vain=ANY_ERROR):
                count_lookup(Actor.from_request(request), "")
        except (FugataError, *ANY_ERROR) as error:
            return errors.error_response(request, errors.to_fugata_error(error))
        return response
