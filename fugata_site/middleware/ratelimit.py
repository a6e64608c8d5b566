"""Rate limits by token bucket: three headers on every response, 429 when the bucket is empty.

Requests with a live access token are counted by token, all others by client (docs/api.md:
"Common rules").
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_core.buckets import new_buckets
from fugata_core.buckets.base import Buckets, RateDecision
from fugata_core.errors import FugataError, RateLimited
from fugata_core.limits import DISCARD_REFUSED
from fugata_core.requests import FugataRequest
from fugata_core.views import refusal_page_for
from fugata_server.request_buffer import body_in_memory, discard
from fugata_site import errors
from fugata_site.middleware.body import MAX_SHOWN_AGAIN
from fugata_site.middleware.csrf import PageCsrfMiddleware
from operations_app.metrics.definitions import RATE_LIMITED


@dataclass(frozen=True, slots=True)
class _RateLimit:
    """Buckets of one size; `rpm`: requests a minute."""

    rpm: int
    buckets: Buckets


class RateLimitMiddleware:
    """Takes one token per request (docs/api.md: "Common rules")."""

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
        if _may_be_shown_again(request):
            with suppress(FugataError), body_in_memory(request, MAX_SHOWN_AGAIN):
                self._csrf.process_request(request)
                return errors.error_response(request, refusal)
        discard(request, DISCARD_REFUSED)
        return errors.error_response(request, refusal)


def _may_be_shown_again(request: HttpRequest) -> bool:
    """Return whether this sends a form, of moderate size, whose view has a page for refusals."""
    length = int(request.META.get("CONTENT_LENGTH") or "0")
    if request.method != "POST" or not 0 < length <= MAX_SHOWN_AGAIN:
        return False
    return refusal_page_for(request) is not None


def _limit(rpm: int, burst: int) -> _RateLimit:
    return _RateLimit(rpm, new_buckets(rpm, burst))
