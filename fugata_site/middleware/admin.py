"""Sessions, authentication and messages: under /admin/ only.

For all paths, Django's default, they cost 16 µs a request; and a signed-in operator who opened a
share would write a session and get a cookie on the share's page.
"""

from collections.abc import Callable

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from fugata_core import routes
from fugata_core.database_failures import ANY_ERROR
from fugata_core.errors import RowLocked
from fugata_site import errors

GetResponse = Callable[[HttpRequest], HttpResponse]


class AdminMiddleware:
    """Django's three middlewares, in one place and in their order."""

    def __init__(self, get_response: GetResponse) -> None:
        self._others = get_response
        messages = MessageMiddleware(get_response)
        self._admin = SessionMiddleware(AuthenticationMiddleware(messages))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not routes.is_console(request.path_info):
            return self._others(request)
        try:
            return self._admin(request)  # type: ignore[return-value]
        except (RowLocked, *ANY_ERROR) as error:  # the session could not be saved
            return errors.error_response(request, errors.to_fugata_error(error))
