"""The probes, answered before the Host check (they send an IP address) and the rate limit."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from fugata_core import failing_requests, routes
from fugata_core.requests import FugataRequest
from operations_app.diagnostics import monitor
from operations_app.diagnostics.probes import MINOR

GetResponse = Callable[[HttpRequest], HttpResponse]


class HealthMiddleware:
    """Answers the health endpoints itself and passes everything else on, noting how that ends."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        if request.path_info not in routes.PROBES:
            request.began = time.monotonic()
            served = self.get_response(request)
            failing_requests.note_answer(request, served.status_code)
            return served
        response = self._answer(request)
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            refusal = JsonResponse({"error": "Method not allowed"}, status=405)
            refusal["Allow"] = "GET, HEAD"
            return refusal
        problem = None if request.path_info == routes.LIVENESS else monitor.problem()
        if request.path_info == routes.READINESS and problem in MINOR:
            problem = None  # taken away from its balancer, it could open nothing at all
        if problem:
            return JsonResponse({"status": "unhealthy", "error": problem}, status=503)
        return JsonResponse({"status": "ok"})
