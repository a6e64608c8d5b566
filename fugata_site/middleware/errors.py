"""Error handling of the pages: turns an exception into its response."""

from collections.abc import Callable

from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse

from fugata_site import errors


class ErrorMiddleware:
    """Turns what a page's view raises into a page (DRF does the same for the API)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the response, or None to leave it to Django's own handlers."""
        if isinstance(error, (Http404, SuspiciousOperation)):
            return None
        return errors.error_response(request, errors.to_fugata_error(error))
