"""A bulkhead: a backend that hangs may hold half of the threads, so that /healthz is answered.

Requests wait up to a second for a place. When nobody left a place in that second the backends
hang, and the next ones are refused at once until somebody leaves.
"""

import threading
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_site import errors
from secrets_app.errors import Overloaded

PATIENCE = 1.0


class BulkheadMiddleware:
    """Lets half of the process's threads through to what needs a backend."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._places = threading.BoundedSemaphore(max(settings.WEB_THREADS // 2, 1))
        self._hanging = False
        self._left = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not self._enter():
            return errors.answer(request, Overloaded())
        try:
            return self.get_response(request)
        finally:
            self._places.release()
            self._left += 1
            self._hanging = False

    def _enter(self) -> bool:
        if self._places.acquire(blocking=False):
            return True
        while not self._hanging:
            left_before = self._left
            if self._places.acquire(timeout=PATIENCE):
                return True
            self._hanging = self._left == left_before
        return False
