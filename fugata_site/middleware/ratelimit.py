"""The token bucket at the door: three headers on every answer, 429 when the bucket is empty."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_site import buckets, errors
from fugata_site.body import discard
from secrets_app.errors import RateLimited


class RateLimitMiddleware:
    """Takes one token a request from the client's bucket (contract: "Rate Limiting")."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._buckets = buckets.configured()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        taken = self._buckets.take(request.client_bucket)  # type: ignore[attr-defined]
        if taken.allowed:
            response = self.get_response(request)
        else:
            discard(request, most=2**20, seconds=1)
            response = errors.answer(request, RateLimited(retry_after=taken.retry_after))
        headers = response.headers
        headers["X-RateLimit-Limit"] = str(settings.RATE_LIMIT_RPM)
        headers["X-RateLimit-Remaining"] = str(taken.remaining)
        headers["X-RateLimit-Reset"] = str(taken.full_at)
        return response
