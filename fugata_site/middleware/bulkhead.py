"""A bulkhead: a hanging backend holds at most half of the threads; the rest still answer."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from fugata_core.errors import Overloaded
from fugata_core.limits import BACKENDS, bulkhead
from fugata_site import errors


class BulkheadMiddleware:
    """Lets at most half of the process's threads through to what needs a backend."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._bulkhead = bulkhead(BACKENDS)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            with self._bulkhead.place():
                return self.get_response(request)
        except Overloaded as error:
            return errors.error_response(request, error)
