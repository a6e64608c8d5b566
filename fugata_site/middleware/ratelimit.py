"""Rate limits by token bucket: three headers on every response, 429 when the bucket is empty.

Requests with a live access token are counted by token, all others by client (docs/api.md:
"Common rules").
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_core import routes
from fugata_core.buckets import new_buckets
from fugata_core.buckets.base import Buckets, RateDecision
from fugata_core.errors import FugataError, RateLimited
from fugata_core.requests import FugataRequest
from fugata_server.request_buffer import body_in_memory, discard
from fugata_site import errors
from fugata_site.middleware.csrf import PageCsrfMiddleware
from operations_app.metrics.definitions import RATE_LIMITED

#: Maximum bytes of a form that is read and shown again although it is refused.
_MAX_FORM_SIZE = 256 * 1024


@dataclass(frozen=True, slots=True)
class _RateLimit:
    """Buckets of one size; `rpm`: requests a minute."""

    rpm: int
    buckets: Buckets


class RateLimitMiddleware:
    """Takes one token a request (docs/api.md: "Common rules")."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._csrf = PageCsrfMiddleware(get_response)
        self._by_client = _limit(settings.RATE_LIMIT_RPM, settings.RATE_LIMIT_BURST)
        self._by_token = _limit(settings.TOKEN_RATE_LIMIT_RPM, settings.TOKEN_RATE_LIMIT_BURST)

    def __call__(self, request: FugataRequest) -> HttpResponse:
        caller = request.caller
        limit = self._by_token if caller else self._by_client
        bucket = f"token:{caller.token_id}" if caller else request.client_bucket
        taken = limit.buckets.take(bucket)
        response = self._answer(request, taken)
        headers = response.headers
        headers["X-RateLimit-Limit"] = str(limit.rpm)
        headers["X-RateLimit-Remaining"] = str(taken.remaining)
        headers["X-RateLimit-Reset"] = str(taken.full_at)
        return response

    def _answer(self, request: FugataRequest, taken: RateDecision) -> HttpResponse:
        if not taken.allowed:
            RATE_LIMITED.labels("token" if request.caller else "client").inc()
            return self._refuse(request, RateLimited(retry_after=taken.retry_after))
        if request.refusal:
            return self._refuse(request, request.refusal)
        return self.get_response(request)

    def _refuse(self, request: FugataRequest, refusal: FugataError) -> HttpResponse:
        if _is_form_submission(request):
            with suppress(FugataError), body_in_memory(request):
                self._csrf.process_request(request)
                return errors.error_response(request, refusal)
        discard(request, most=2**20, seconds=1)
        return errors.error_response(request, refusal)


def _is_form_submission(request: HttpRequest) -> bool:
    """Return whether this submits the form of a new share, of a size that may be shown again."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    is_form = routes.is_form_submission(request.method, request.path_info)
    return is_form and 0 < int(length) <= _MAX_FORM_SIZE


def _limit(rpm: int, burst: int) -> _RateLimit:
    return _RateLimit(rpm, new_buckets(rpm, burst))
