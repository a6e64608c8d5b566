"""Times every request; answers /metrics where it is served on the public port."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_core import routes
from fugata_core.requests import FugataRequest
from fugata_site.middleware.client import identify
from operations_app.metrics import exposition
from operations_app.metrics.definitions import requests

_METHODS = {"GET", "HEAD", "POST", "DELETE"}


class MetricsMiddleware:
    """Before the Host check and the rate limit: a scraper sends an IP address, and is no client."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._answers = not settings.METRICS_PORT

    def __call__(self, request: FugataRequest) -> HttpResponse:
        if self._answers and request.path_info == routes.METRICS:
            return _scrape_response(request)
        began = time.perf_counter()
        response = self.get_response(request)
        method = request.method if request.method in _METHODS else "other"
        series = requests(_endpoint(request), str(method), f"{response.status_code // 100}xx")
        series.observe(time.perf_counter() - began)
        return response


def _endpoint(request: HttpRequest) -> str:
    """Return the name of the endpoint; `none` where a request never reached a view."""
    match = request.resolver_match
    if match is None:
        return "static" if request.path_info.startswith(settings.STATIC_URL) else "none"
    return match.namespaces[0] if match.namespaces[:1] == ["admin"] else match.view_name or "none"


def _scrape_response(request: FugataRequest) -> HttpResponse:
    identify(request)
    headers = request.META
    answer = exposition.scrape(
        request.method or "",
        headers.get("HTTP_AUTHORIZATION", ""),
        headers.get("HTTP_ACCEPT", ""),
        request.client_bucket,
    )
    common = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    common |= {"Cache-Control": "no-store", "Content-Length": str(len(answer.body))}
    return HttpResponse(answer.body, status=answer.status, headers=common | answer.headers)
