"""A bulkhead: a hanging backend holds at most half of the threads; the rest still answer."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from fugata_core import routes
from fugata_core.errors import Overloaded
from fugata_core.limits import BACKENDS, bulkhead
from fugata_core.views import leads_nowhere
from fugata_site import errors
from vault_app.key_places import serving_request


class BulkheadMiddleware:
    """Lets few of the process's threads through to what needs a backend, and all to what does not.

    A key service is such a backend, of which the request takes a place besides when it calls it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._bulkhead = bulkhead(BACKENDS)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _needs_backend(request):
            return self.get_response(request)
        if not self._bulkhead.enter():
            return errors.error_response(request, Overloaded())
        failed, began = True, time.monotonic()
        try:
            with serving_request():
                response = self.get_response(request)
            failed = response.status_code >= 500
            return response
        finally:
            # What failed late hung: others would only wait anew after it. (What is refused soon,
            # because a reader or a key service has no place, says nothing of the backends.)
            hung = failed and time.monotonic() - began >= BACKENDS.max_wait
            self._bulkhead.leave(in_vain=hung)


def _needs_backend(request: HttpRequest) -> bool:
    path = request.path_info
    if routes.needs_no_backend(request.method, path):
        return False
    # Only a path that might be unknown is resolved, for it costs 10 µs, and is done again.
    return routes.is_api(path) or routes.is_page(path) or not leads_nowhere(request)
