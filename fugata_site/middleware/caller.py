"""The caller that the request's access token identifies, looked up once.

Only where a token is accepted: other requests do not wait for the database here, and no answer to
them tells whether the token is live.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_core import routes
from fugata_core.database_failures import ANY_ERROR, database_failure
from fugata_core.errors import FugataError
from fugata_core.limits import BACKENDS, bulkhead
from fugata_core.requests import FugataRequest
from fugata_core.views import leads_nowhere
from repositories_app.authentication import find_caller


class CallerMiddleware:
    """Sets `request.caller`, or `request.refusal` where the token could not be looked up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        request.caller = request.refusal = None
        if _accepts_token(request):
            _identify(request)
        return self.get_response(request)


def _accepts_token(request: FugataRequest) -> bool:
    if routes.requires_token(request.path_info):
        return not leads_nowhere(request)
    is_share_creation = routes.is_share_creation(request.method, request.path_info)
    return settings.CREATE_REQUIRES_LOGIN and is_share_creation and request.is_network_allowed


def _identify(request: FugataRequest) -> None:
    try:
        with bulkhead(BACKENDS).place(in_vain=ANY_ERROR):
            request.caller = find_caller(request)
    except FugataError as error:
        request.refusal = error
    except ANY_ERROR as error:
        request.refusal = database_failure(error)
